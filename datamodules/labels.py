"""Label columns of any usual form to a multi-hot matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np

from datamodules.source import DataError

Place = Callable[[int], str]


def multi_hot(
    rows: datasets.Dataset, column: str, feature: Any, ids: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read one label column without touching the pictures.

    Args:
        rows: the data set, reduced to the label column.
        column: its name, for messages.
        feature: its ``datasets`` feature: ``ClassLabel``, ``List(ClassLabel)``, a list of numbers of fixed length
            (a 0/1 vector), a string, a list of strings, or a plain integer.
        ids: what messages call the rows.

    Returns:
        labels uint8 ``(n, C)`` in {0, 1}, and the ``C`` class names.

    Raises:
        DataError: naming the column, and the first row that does not fit.
    """
    values = rows[:][column]
    if not values:
        raise DataError(f"column {column!r}: the data set has no rows")

    def place(row: int) -> str:
        return f"row {ids[row]}, column {column!r}"

    inner = getattr(feature, "feature", None)
    many, kind = (True, inner) if inner is not None else (False, feature)
    dtype = getattr(kind, "dtype", "none")
    for row, value in enumerate(values):
        if value is None or (many and any(v is None for v in value)):
            raise DataError(f"{place(row)}: the label is missing")
    if isinstance(kind, datasets.ClassLabel):
        return _from_classes(values if many else [[v] for v in values], kind.names, place)
    if dtype in ("string", "large_string"):
        return _from_names(values if many else [[v] for v in values], place)
    if many and dtype.startswith(("bool", "int", "uint", "float")):
        return _from_vectors(values, place)
    if dtype.startswith(("bool", "int", "uint")):
        classes = [int(v) for v in values]
        return _from_classes([[c] for c in classes], [str(c) for c in range(1 + max(classes))], place)
    raise DataError(
        f"column {column!r} holds {feature}, expected labels: ClassLabel, class numbers, class names, or lists of "
        "ClassLabel, of class names or of 0 and 1"
    )


def _from_classes(
    values: Sequence[Sequence[int]], names: Sequence[str], place: Place
) -> tuple[np.ndarray, tuple[str, ...]]:
    labels = np.zeros((len(values), len(names)), dtype=np.uint8)
    for row, classes in enumerate(values):
        for c in classes:
            if c == -1:
                raise DataError(f"{place(row)}: class -1 marks an item without label, drop such rows")
            if not 0 <= c < len(names):
                raise DataError(f"{place(row)}: class {c} is outside 0..{len(names) - 1}")
            labels[row, c] = 1
    return labels, tuple(names)


def _from_names(values: Sequence[Sequence[str]], place: Place) -> tuple[np.ndarray, tuple[str, ...]]:
    names = sorted({name for found in values for name in found})
    position = {name: c for c, name in enumerate(names)}
    return _from_classes([[position[name] for name in found] for found in values], names, place)


def _from_vectors(values: Sequence[Sequence[int]], place: Place) -> tuple[np.ndarray, tuple[str, ...]]:
    width = len(values[0])
    for row, vector in enumerate(values):
        if len(vector) != width:
            raise DataError(f"{place(row)}: {len(vector)} label entries, expected {width} as in the first row")
        if any(v not in (0, 1) for v in vector):
            raise DataError(f"{place(row)}: a 0/1 label vector holds {sorted(set(vector))}")
    return np.asarray(values, dtype=np.uint8), tuple(str(c) for c in range(width))
