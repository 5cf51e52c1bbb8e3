"""StandIn: generated items in the shape of a benchmark data set, to run an experiment before its data is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datamodules.base import DEFAULT_PIXELS, RetrievalDataModule
from datamodules.dataset import Loading
from datamodules.flickr25k import FLICKR25K
from datamodules.iaprtc12 import IAPRTC12
from datamodules.images import Pixels
from datamodules.local import LocalDataModule
from datamodules.mscoco import MSCOCO
from datamodules.nuswide import NUSWIDE
from datamodules.source import DataError, ItemSource
from datamodules.splits import SplitSizes
from datamodules.text.base import Matrix, TextFeatures
from datamodules.wikipedia import Wikipedia
from lightning_modules.randomness import sample_numpy_generator

DEFAULT_SPLITS, DEFAULT_LOADER = SplitSizes(query=8, val=0, train=None), Loading(batch_size=16)
CARRIERS = 12  # items of each label combination: more than the nine that vote for an anchor


@dataclass(frozen=True)
class Shape:
    """What a data set looks like to everything behind it.

    Attributes:
        data: its data module, which knows protocols and classes.
        classes: number of classes where the files name them.
        text_width: width of the text features of the cross-modal papers (Table 6's data as TA-DCH publishes it).
        most_labels: classes per item at most.
    """

    data: type[LocalDataModule]
    classes: int
    text_width: int
    most_labels: int


SHAPES = {
    "wikipedia": Shape(Wikipedia, 10, 10, 1),
    "iaprtc12": Shape(IAPRTC12, 255, 1024, 5),
    "flickr25k": Shape(FLICKR25K, 24, 1386, 4),
    "mscoco": Shape(MSCOCO, 80, 1024, 4),
    "nuswide": Shape(NUSWIDE, 21, 1000, 4),
}


class StandIn(RetrievalDataModule):
    """Generated pictures and texts with classes, labels per item, text width and split rule of a benchmark data set.

    It holds a few combinations of labels, each carried by a dozen items or more. Pictures and texts tell them apart,
    but nothing that is measured on them says anything about the data set itself.

    Args:
        of: ``wikipedia``, ``iaprtc12``, ``flickr25k``, ``mscoco`` or ``nuswide``.
        protocol: its protocol, ``uni`` or ``cross``; only ``cross`` has texts. None takes its first.
        items: how many items.
        pixels: size of the pictures.
        splits: sizes of the splits.
        loader: batch size and workers.
        cache_dir: folder for manifests and text features.

    Raises:
        DataError: an unknown data set or protocol, or too few items.
    """

    def __init__(
        self,
        of: str,
        protocol: str | None = None,
        items: int = 56,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = DEFAULT_SPLITS,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
    ) -> None:
        if of not in SHAPES:
            raise DataError(f"StandIn of={of!r}: expected one of {', '.join(SHAPES)}")
        protocols = SHAPES[of].data.protocols
        chosen = next(iter(protocols)) if protocol is None else protocol
        if chosen not in protocols:
            raise DataError(f"StandIn protocol={protocol!r}: {of} has {', '.join(protocols)}")
        if items < CARRIERS + (splits.query or 0):
            raise DataError(f"StandIn items={items}: expected {CARRIERS} more than there are queries")
        self.of, self.chosen, self.items = of, chosen, items
        text = StandInTexts(SHAPES[of].text_width) if chosen == "cross" else None
        super().__init__(pixels, splits, loader, cache_dir, text)

    @property
    def protocol_name(self) -> str:
        """Data set and protocol."""
        return f"{self.of}/{self.chosen}, stand-in"

    def load_source(self) -> ItemSource:
        """Generate labels; pictures are generated when they are read."""
        shape = SHAPES[self.of]
        names = shape.data.protocols[self.chosen].class_names
        names = names or tuple(f"class {number}" for number in range(1, shape.classes + 1))
        return StandInSource(f"{self.of}-{self.chosen}-stand-in", names, shape.most_labels, self.items, self.pixels)


class StandInSource(ItemSource):
    """Items whose number decides their labels, and these their picture and text.

    Args:
        name: name of the data set.
        class_names: its classes.
        most_labels: labels per item at most.
        items: number of items.
        pixels: size of the pictures.
    """

    def __init__(self, name: str, class_names: tuple[str, ...], most_labels: int, items: int, pixels: Pixels) -> None:
        self.name, self.class_names, self._side = name, class_names, pixels.side
        self.ids = tuple(f"stand-in-{number:06d}" for number in range(items))
        combinations = max(2, items // (2 * CARRIERS))
        options = len(class_names), most_labels, combinations
        labels = np.stack([_combination(name, number, *options) for number in range(combinations)])
        self._group = np.arange(items) % combinations
        self.labels = labels[self._group]
        self.query_pool = self.database_pool = np.arange(items, dtype=np.int64)

    def image(self, row: int) -> Tensor:
        """Return a gradient in a colour of the item's labels, with noise of its own."""
        colour = sample_numpy_generator(0, "stand-in colour", f"{self.name}/{self._group[row]}").integers(40, 215, 3)
        side = self._side
        noise = sample_numpy_generator(0, "stand-in noise", self.ids[row]).integers(-20, 21, (3, side, side))
        ramp = np.linspace(-20, 20, side)[None, None, :]
        return torch.from_numpy((colour[:, None, None] + ramp + noise).astype(np.uint8))

    def sentences(self, row: int) -> tuple[str, ...]:
        """Name the item's classes."""
        return (" ".join(self.class_names[column] for column in self.labels[row].nonzero()[0]),)


def _combination(name: str, number: int, classes: int, most: int, combinations: int) -> np.ndarray:
    """Draw the classes of one combination; no two combinations share one, so that each is relevant to itself only."""
    generator = sample_numpy_generator(0, "stand-in labels", f"{name}/{number}")
    own = np.arange(number, classes, combinations)
    label = np.zeros(classes, dtype=np.uint8)
    label[generator.choice(own, size=int(generator.integers(min(2, most), most + 1)), replace=False)] = 1
    return label


class StandInTexts(TextFeatures):
    """Binary text features of a given width: words of an item's classes, and some of its own.

    Args:
        width: ``d``.
    """

    def __init__(self, width: int) -> None:
        self.width = width

    @property
    def title(self) -> str:
        """Kind and width."""
        return f"{self.width} generated words"

    def encode(self, source: ItemSource) -> Matrix:
        """Return float32 ``(n, width)`` in {0, 1}; see :meth:`TextFeatures.encode`."""
        words = np.zeros((len(source.ids), self.width), dtype=np.float32)
        for row, sample_id in enumerate(source.ids):
            for kind, text in (("shared", source.sentences(row)[0]), ("own", sample_id)):
                count = max(1, self.width // (20 if kind == "shared" else 60))
                words[row, sample_numpy_generator(0, f"stand-in {kind}", text).integers(self.width, size=count)] = 1
        return words
