"""What a data set must offer: ids, labels and access to one picture at a time, whatever lies on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod

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
        database_pool: int64 rows that database, training and validation items may be drawn from.
    """

    name: str
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    labels: np.ndarray
    query_pool: np.ndarray
    database_pool: np.ndarray

    @abstractmethod
    def image(self, row: int) -> Tensor:
        """Decode the picture of one row.

        Returns:
            uint8 ``(3, H, W)`` RGB of the size stored.

        Raises:
            DataError: the picture is missing or cannot be decoded; the message names it.
        """

    def caption(self, row: int) -> str | None:
        """Return the text of one row, or None for a data set without texts."""
        del row
        return None
