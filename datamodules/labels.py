"""Label columns of any usual form to a multi-hot matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np

from datamodules.source import DataError


def multi_hot(rows: datasets.Dataset, column: str, feature: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read one label column without touching the pictures.

    Args:
        rows: the data set, reduced to the label column.
        column: its name, for messages.
        feature: its ``datasets`` feature: ``ClassLabel``, ``List(ClassLabel)``, ``List(int)`` of fixed length
            (a 0/1 vector), a string, a list of strings, or a plain integer.

    Returns:
        labels uint8 ``(n, C)`` in {0, 1}, and the ``C`` class names.

    Raises:
        DataError: naming the first row that does not fit.
    """
    values = rows[:][column]
    inner = getattr(feature, "feature", None)
    if isinstance(feature, datasets.ClassLabel):
        return _from_classes([[v] for v in values], feature.names, column)
    if isinstance(inner, datasets.ClassLabel):
        return _from_classes(values, inner.names, column)
    if inner is not None and getattr(inner, "dtype", "") == "string":
        return _from_names(values, column)
    if inner is not None:
        return _from_vectors(values, column)
    if getattr(feature, "dtype", "") == "string":
        return _from_names([[v] for v in values], column)
    count = 1 + max(int(v) for v in values)
    return _from_classes([[int(v)] for v in values], [str(c) for c in range(count)], column)


def _from_classes(
    values: Sequence[Sequence[int]], names: Sequence[str], column: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    labels = np.zeros((len(values), len(names)), dtype=np.uint8)
    for row, classes in enumerate(values):
        for c in classes:
            if c is None or not 0 <= c < len(names):
                raise DataError(f"row {row}, column {column!r}: class {c} is outside 0..{len(names) - 1}")
            labels[row, c] = 1
    return labels, tuple(names)


def _from_names(values: Sequence[Sequence[str]], column: str) -> tuple[np.ndarray, tuple[str, ...]]:
    for row, found in enumerate(values):
        if found is None or any(name is None for name in found):
            raise DataError(f"row {row}, column {column!r}: a class name is missing")
    names = sorted({name for found in values for name in found})
    position = {name: c for c, name in enumerate(names)}
    return _from_classes([[position[name] for name in found] for found in values], names, column)


def _from_vectors(values: Sequence[Sequence[int]], column: str) -> tuple[np.ndarray, tuple[str, ...]]:
    width = len(values[0])
    for row, vector in enumerate(values):
        if len(vector) != width:
            raise DataError(f"row {row}, column {column!r}: {len(vector)} label entries, expected {width} as in row 0")
        if any(v not in (0, 1) for v in vector):
            raise DataError(f"row {row}, column {column!r}: a 0/1 label vector holds {sorted(set(vector))}")
    return np.asarray(values, dtype=np.uint8), tuple(str(c) for c in range(width))
