"""One split as a map-style data set, its collation to a Batch, and its loader."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.feature_cache import FeatureCache
from datamodules.images import Resize
from datamodules.pixel_cache import PixelCache
from datamodules.source import ItemSource
from datamodules.text.base import TextTable
from lightning_modules.types import Batch


@dataclass(frozen=True)
class Item:
    """One decoded item.

    Attributes:
        image: uint8 ``(3, H, W)``; empty where ``features`` stand in for it.
        label: uint8 ``(C,)``.
        index: position in the split.
        sample_id: its id.
        caption: its text, or None.
        text: float32 ``(D,)`` text features, or None.
        features: float32 ``(D,)`` image features of a frozen extractor, or None.
    """

    image: Tensor
    label: Tensor
    index: int
    sample_id: str
    caption: str | None
    text: Tensor | None = None
    features: Tensor | None = None


NO_PICTURE = torch.empty(3, 0, 0, dtype=torch.uint8)


class RetrievalDataset(Dataset[Item]):
    """The items of one split, decoded on access.

    Args:
        source: where the pictures are.
        rows: int64 rows of the source, in order.
        resize: brings every picture to the size of the experiment.
        text: text features by row of the source.
        cache: keeps resized pictures; None decodes a picture whenever it is asked for.
        features: what a frozen extractor made of the pictures, by row of the source; then none is decoded.
    """

    def __init__(
        self,
        source: ItemSource,
        rows: np.ndarray,
        resize: Resize,
        text: TextTable | None = None,
        cache: PixelCache | None = None,
        features: FeatureCache | None = None,
    ) -> None:
        self.source, self.rows, self.resize, self.text, self.cache = source, rows, resize, text, cache
        self.features = features

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Item:
        row = int(self.rows[index])
        return Item(
            image=NO_PICTURE if self.features is not None else self._picture(row),
            label=torch.from_numpy(self.source.labels[row].copy()),
            index=index,
            sample_id=self.source.ids[row],
            caption=self.source.caption(row),
            text=None if self.text is None else self.text[row],
            features=None if self.features is None else self.features[row],
        )

    def _picture(self, row: int) -> Tensor:
        return self._decode(row) if self.cache is None else self.cache(row, self._decode)

    def _decode(self, row: int) -> Tensor:
        return self.resize(self.source.image(row))


def collate(items: list[Item]) -> Batch:
    """Stack items to a Batch of uint8 images, which :meth:`Batch.to` makes float."""
    captions = tuple(item.caption for item in items if item.caption is not None)
    # Decoders write pixel by pixel (channels last); a batch in the same order is filled in one straight pass.
    images = torch.empty((len(items), *items[0].image.shape), dtype=torch.uint8, memory_format=torch.channels_last)
    for place, item in zip(images, items, strict=True):
        place.copy_(item.image)
    return Batch(
        image=images,
        label=torch.stack([item.label for item in items]),
        index=torch.tensor([item.index for item in items], dtype=torch.int64),
        ids=tuple(item.sample_id for item in items),
        text=_stack([item.text for item in items]),
        captions=captions if len(captions) == len(items) else None,
        features=_stack([item.features for item in items]),
    )


def _stack(rows: list[Tensor | None]) -> Tensor | None:
    known = [row for row in rows if row is not None]
    return torch.stack(known) if len(known) == len(rows) else None


@dataclass(frozen=True)
class Loading:
    """How items are read.

    Attributes:
        batch_size: items per batch and device.
        num_workers: loader processes.
    """

    batch_size: int = 32
    num_workers: int = 0

    def over(self, dataset: RetrievalDataset, shuffle: bool = False) -> DataLoader:
        """Return a loader of Batches."""
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            shuffle=shuffle,
            num_workers=self.num_workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )
