"""A folder of pictures without labels, for ``predict``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.dataset import RetrievalDataset, collate
from datamodules.images import Resize, ResizeMode, read
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
        image_size: side of the pictures in pixels.
        resize_to: side before the centre crop; default ``image_size``.
        resize: ``short_side`` or ``squash``.
        batch_size: pictures per batch.
        num_workers: loader processes.
    """

    def __init__(
        self,
        root: str,
        image_size: int = 224,
        resize_to: int | None = None,
        resize: ResizeMode = "short_side",
        batch_size: int = 32,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self._root, self._resize = Path(root), Resize(image_size, resize_to, resize)
        self.batch_size, self.num_workers = batch_size, num_workers

    def predict_dataloader(self) -> DataLoader:
        """Return the pictures in path order, with empty labels."""
        source = FolderSource(self._root)
        data = RetrievalDataset(source, source.query_pool, self._resize)
        return DataLoader(data, batch_size=self.batch_size, num_workers=self.num_workers, collate_fn=collate)
