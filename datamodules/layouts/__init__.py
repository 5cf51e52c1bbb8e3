"""Layouts: how people keep data sets on disk; one file each.

``lists`` are ProS-GAN's and HashNet's, ``dchmt`` is DCHMT's trio of MATLAB files, ``pixel_arrays`` what DCMH and TA-DCH
hand on; ``coco``, ``mirflickr``, ``nus``, ``iapr`` and ``wikipedia`` are the originals of a data set.
"""

from datamodules.layouts.base import Layout, find_layout
from datamodules.layouts.dchmt import DchmtTrio
from datamodules.layouts.lists import HashNetLists, ProsGanLists
from datamodules.layouts.pixel_arrays import PixelArrays

# What the community's repositories hand around, for any data set with fixed classes; originals go first.
COMMUNITY: tuple[Layout, ...] = (ProsGanLists(), HashNetLists(), DchmtTrio(), PixelArrays())

__all__ = ["COMMUNITY", "DchmtTrio", "HashNetLists", "Layout", "PixelArrays", "ProsGanLists", "find_layout"]
