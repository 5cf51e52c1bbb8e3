"""OwnPicturesDataModule: what the user's own pictures need, in whichever form they are listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from datamodules.base import DEFAULT_LOADER, DEFAULT_PIXELS
from datamodules.catalogued import CatalogueDataModule
from datamodules.dataset import Loading
from datamodules.images import Pixels
from datamodules.source import DataError, ItemSource
from datamodules.splits import SPLIT_RULE, SplitSizes
from datamodules.text.base import TextFeatures

OWN_SIZES = SplitSizes(query=None, val=50, train=None)
MOST_QUERIES = 1000


class OwnPicturesDataModule(CatalogueDataModule):
    """Pictures below a folder with labels of the user's own.

    Args:
        root: the folder.
        name: short name for reports; None takes the folder's.
        text: text features; None gives none.
        pixels: size of the pictures.
        splits: sizes of the splits. ``query=None`` takes the queries that the data itself names, or else a tenth
            of the items, at most 1000.
        loader: batch size and workers.
        cache_dir: folder for catalogues, manifests and features.

    Raises:
        DataError: ``name`` cannot be part of a file name.
    """

    def __init__(
        self,
        root: str,
        name: str | None = None,
        text: TextFeatures | None = None,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = OWN_SIZES,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
    ) -> None:
        self.short_name = name or Path(root).resolve().name or "pictures"
        check_name(self.short_name, f"name={self.short_name!r}")
        if "/" in self.short_name:
            raise DataError(f"name={self.short_name!r}: it becomes part of file names and may hold no '/'")
        super().__init__(root, self.short_name, text, pixels, splits, loader, cache_dir)

    def load_source(self) -> ItemSource:
        """Open the catalogue, and settle how many queries are drawn."""
        source = super().load_source()
        if self._sizes.query is None and source.facts.get("split_source") == SPLIT_RULE:
            self._sizes = replace(self._sizes, query=min(MOST_QUERIES, max(1, len(source.ids) // 10)))
        return source


def check_name(text: str, place: str) -> str:
    """Return a path or the name of a class, if it can be stored.

    Raises:
        DataError: it holds control characters or is no Unicode; the message starts with ``place``.
    """
    if any(ord(character) < 32 for character in text):
        raise DataError(f"{place}: {text!r} holds control characters")
    return check_unicode(text, place)


def check_unicode(text: str, place: str) -> str:
    """Return a text, if it can be stored.

    Raises:
        DataError: it holds halves of characters, as names of files do that are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {text!r} is not UTF-8") from error
    return text


def multi_hot_names(found: Sequence[Iterable[str]]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the sorted names of all classes and the uint8 ``(n, C)`` labels of items with these classes."""
    names = sorted({name for classes in found for name in classes})
    column = {name: c for c, name in enumerate(names)}
    labels = np.zeros((len(found), len(names)), dtype=np.uint8)
    for row, classes in enumerate(found):
        labels[row, [column[name] for name in classes]] = 1
    return tuple(names), labels


def shortened(items: Sequence[str], most: int = 20) -> str:
    """Return items as lines of a message, the first of them if they are many."""
    rest = [f"... and {len(items) - most} more"] if len(items) > most else []
    return "".join(f"\n  {item}" for item in [*items[:most], *rest])
