"""FeatureCache: what a frozen extractor made of the pictures, in one memory-mapped file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.pixel_cache import map_array
from datamodules.source import DataError


class FeatureCache:
    """Features by row of a data set; rows are written in any order, and a killed run loses nothing.

    Beside the features lies a mark of each row, set once the row is on the disk.

    Args:
        path: the float32 ``(n, d)`` array to be; marks lie beside it.
        count: n, pictures of the data set.
        width: d.

    Raises:
        DataError: the file cannot be written, or is of another shape.
    """

    def __init__(self, path: Path, count: int, width: int) -> None:
        self._path, self._shape = path, (count, width)
        self._arrays: tuple[np.memmap, np.memmap] | None = None
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_shape": self._shape, "_arrays": None}  # a worker maps the file itself

    def __getitem__(self, row: int) -> Tensor:
        """Return the features of one row, float32 ``(d,)``."""
        return torch.from_numpy(np.array(self._open()[0][row]))

    def rows(self, rows: np.ndarray) -> Tensor:
        """Return the features of several rows, float32 ``(n, d)``."""
        return torch.from_numpy(self._open()[0][rows])

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Return those of ``rows`` that have no features yet."""
        return rows[self._open()[1][rows] == 0]

    def write(self, rows: np.ndarray, values: Tensor) -> None:
        """Keep features ``(b, d)`` of ``rows`` ``(b,)``.

        Raises:
            DataError: a feature is not finite.
        """
        if not torch.isfinite(values).all():
            raise DataError(f"{self._path}: the extractor gives NaN or infinite features for rows {rows.tolist()[:5]}")
        features, marks = self._open()
        features[rows] = values.float().cpu().numpy()
        features.flush()
        marks[rows] = 1

    def _open(self) -> tuple[np.memmap, np.memmap]:
        if self._arrays is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                features = map_array(self._path, np.float32, self._shape)
                marks = map_array(self._path.with_suffix(".marks.npy"), np.uint8, self._shape[:1])
            except (OSError, ValueError) as error:
                raise DataError(f"{self._path}: no features can be kept there ({error}); delete it") from error
            self._arrays = (features, marks)
        return self._arrays
