"""A folder of pictures without labels, for ``predict``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.base import DEFAULT_LOADER, DEFAULT_PIXELS
from datamodules.dataset import Loading, RetrievalDataset
from datamodules.images import Pixels, Resize, read
from datamodules.source import DataError, ItemSource

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class FolderSource(ItemSource):
    """All pictures below a folder, in path order; ids are the relative paths.

    Args:
        root: the folder.

    Raises:
        DataError: the folder is missing or holds no pictures.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"{root}: no such folder")
        self.name, self._root = root.name, root
        self.ids = tuple(
            sorted(
                p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()
            )
        )
        if not self.ids:
            raise DataError(f"{root}: no pictures found ({', '.join(sorted(SUFFIXES))})")
        self.class_names = ()
        self.labels = np.zeros((len(self.ids), 0), dtype=np.uint8)
        self.query_pool = np.arange(len(self.ids), dtype=np.int64)
        self.database_pool = np.zeros(0, dtype=np.int64)

    def image(self, row: int) -> Tensor:
        """Read one picture; see :meth:`ItemSource.image`."""
        return read(self._root / self.ids[row])


class FolderDataModule(LightningDataModule):
    """Unlabelled pictures of mixed sizes, for ``train.py predict``.

    Args:
        root: folder that is searched recursively.
        pixels: size of the pictures.
        loader: batch size and workers.
    """

    def __init__(self, root: str, pixels: Pixels = DEFAULT_PIXELS, loader: Loading = DEFAULT_LOADER) -> None:
        super().__init__()
        self._root, self.pixels, self.loader = Path(root), pixels, loader

    def predict_dataloader(self) -> DataLoader:
        """Return the pictures in path order, with empty labels."""
        source = FolderSource(self._root)
        return self.loader.over(RetrievalDataset(source, source.query_pool, Resize(self.pixels)))
