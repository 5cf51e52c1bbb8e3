"""Data modules: every data set in the same four splits, decoded on access."""

from datamodules.base import RetrievalDataModule
from datamodules.folder import FolderDataModule
from datamodules.huggingface import HuggingFaceDataModule
from datamodules.scenes.module import ScenesDataModule
from datamodules.source import DataError, ItemSource

__all__ = [
    "DataError",
    "FolderDataModule",
    "HuggingFaceDataModule",
    "ItemSource",
    "RetrievalDataModule",
    "ScenesDataModule",
]
