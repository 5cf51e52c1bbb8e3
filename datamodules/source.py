"""What a data set must offer: ids, labels and access to one picture at a time, whatever lies on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from torch import Tensor


class DataError(ValueError):
    """Something is wrong with the user's data: the message names the file, row or option and the remedy."""


class ItemSource(ABC):
    """Random access to the items of one data set; picklable, so that loader workers share it.

    Attributes:
        name: short name used in reports and file names.
        class_names: ``C`` class names, in column order of ``labels``.
        ids: ``n`` stable, distinct sample ids.
        labels: uint8 ``(n, C)`` multi-hot in {0, 1}.
        query_pool: int64 rows that queries may be drawn from.
        database_pool: int64 rows that database and validation items may be drawn from.
        train_pool: int64 rows that training items are drawn from, in the order of a published list and with its
            repetitions; None where any database item may be one.
        keys: ``n`` names of the photographs themselves (a Flickr or COCO id), where two items may show the
            same one; None where ids tell them apart.
        facts: what a report should say about the data: layout, source of labels and of splits, ...
    """

    name: str
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    labels: np.ndarray
    query_pool: np.ndarray
    database_pool: np.ndarray
    train_pool: np.ndarray | None = None
    keys: tuple[str, ...] | None = None
    facts: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def image(self, row: int) -> Tensor:
        """Decode the picture of one row.

        Returns:
            uint8 ``(3, H, W)`` RGB of the size stored.

        Raises:
            DataError: the picture is missing or cannot be decoded; the message names it.
        """

    def path(self, row: int) -> str | None:
        """Return where the picture of one row lies, relative and POSIX, if it has a place of its own."""
        del row
        return None

    def sentences(self, row: int) -> tuple[str, ...]:
        """Return the captions of one row; empty for a data set without captions."""
        del row
        return ()

    def tags(self, row: int) -> tuple[str, ...]:
        """Return the tags of one row; empty for a data set without tags."""
        del row
        return ()

    def caption(self, row: int) -> str | None:
        """Return the text of one row, captions or else tags joined by blanks; None if there is neither."""
        return " ".join(self.sentences(row) or self.tags(row)) or None
