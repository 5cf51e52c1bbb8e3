"""Data modules: every data set in the same four splits, decoded on access."""

from datamodules.base import RetrievalDataModule
from datamodules.class_folders import ClassFoldersDataModule
from datamodules.dataset import Loading
from datamodules.folder import FolderDataModule
from datamodules.huggingface import HuggingFaceDataModule
from datamodules.images import Pixels
from datamodules.mixed_folder import MixedFolderDataModule
from datamodules.scenes.module import ScenesDataModule
from datamodules.source import DataError, ItemSource
from datamodules.splits import SplitSizes
from datamodules.stand_in import StandIn
from datamodules.table import TableDataModule

__all__ = [
    "ClassFoldersDataModule",
    "DataError",
    "FolderDataModule",
    "HuggingFaceDataModule",
    "ItemSource",
    "Loading",
    "MixedFolderDataModule",
    "Pixels",
    "RetrievalDataModule",
    "ScenesDataModule",
    "SplitSizes",
    "StandIn",
    "TableDataModule",
]
