"""Layouts: how people keep data sets on disk; one file each."""

from datamodules.layouts.base import Layout, find_layout

__all__ = ["Layout", "find_layout"]
