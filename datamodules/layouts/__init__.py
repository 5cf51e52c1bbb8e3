"""Layouts: how people keep data sets on disk; one file each."""

from datamodules.layouts.arrays import PixelArrays
from datamodules.layouts.base import Layout, find_layout
from datamodules.layouts.dchmt import DchmtTrio
from datamodules.layouts.lists import HashNetLists, ProsGanLists

# What the community's repositories hand around, for any data set with fixed classes; originals go first.
COMMUNITY: tuple[Layout, ...] = (ProsGanLists(), HashNetLists(), DchmtTrio(), PixelArrays())

__all__ = ["COMMUNITY", "DchmtTrio", "HashNetLists", "Layout", "PixelArrays", "ProsGanLists", "find_layout"]
