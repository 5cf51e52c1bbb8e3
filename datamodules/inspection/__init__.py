"""Inspection: what a data set is, as data, as text and as one HTML page."""

from datamodules.inspection.facts import DataFacts, describe
from datamodules.inspection.page import Inspection, inspect_module, render_page, write_page
from datamodules.inspection.pictures import check_pictures
from datamodules.inspection.text import render_text

__all__ = [
    "DataFacts",
    "Inspection",
    "check_pictures",
    "describe",
    "inspect_module",
    "render_page",
    "render_text",
    "write_page",
]
