"""Counting packed items by distance and relevance, in few and long NumPy calls.

Threads that count must take the interpreter lock between two calls. Finding it taken costs as much as a call, and
that happens the more often the shorter the calls are: one call takes the whole database where it can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.retrieval.metrics.packing import PackedBits

_BUFFER = 1 << 22  # bytes of words compared per call and thread, about what caches hold
_PENDING = 16  # tables of pairs folded per call


@dataclass(frozen=True)
class PackedItems:
    """Codes and labels of the queries or of the database."""

    codes: PackedBits
    labels: PackedBits


def count_items(
    queries: PackedItems, database: PackedItems, chunk: int, rows: NDArray[np.intp], counts: NDArray[np.int64]
) -> None:
    """Count the database items at each distance from some queries.

    Args:
        queries: all queries.
        database: the items to count.
        chunk: most items handled at once, >= 1.
        rows: which queries; relevance is looked up once for neighbours in this order with equal labels.
        counts: int64 ``(Q, 2 (K + 1))``, irrelevant, then relevant items by distance; those of ``rows`` are added.
    """
    keys, counter = _Keys(database, chunk), _KeyCounter(counts)
    codes, labels = np.ascontiguousarray(queries.codes.countable().T), queries.labels.bytes()
    groups = list(_equal_neighbours(labels, rows))
    for start in range(0, len(database.codes), keys.size):
        block = slice(start, start + keys.size)
        for group in groups:
            keys.look_up(labels[:, group[0]], block)
            for first in range(0, len(group), keys.batch):
                batch = group[first : first + keys.batch]
                for row, items in zip(batch.tolist(), keys.of(codes[batch], block), strict=True):
                    counter.add(row, items)
        counter.flush()


class _Keys:
    """Makes keys of items, the distance and K + 1 more if relevant, in buffers that are used again and again.

    Attributes:
        size: items per block, ``chunk`` or fewer.
        batch: queries per call of `of`, at most.
    """

    def __init__(self, database: PackedItems, chunk: int) -> None:
        self._codes, self._labels = database.codes.countable(), database.labels.bytes()
        self._bins = database.codes.width + 1
        per_item = len(self._codes) * self._codes.itemsize
        self.size = max(1, min(chunk, len(database.codes), _BUFFER // per_item))
        self.batch = max(1, _BUFFER // (per_item * self.size))
        self._words = np.empty((self.batch, len(self._codes), self.size), self._codes.dtype)
        self._bits = self._words if self._words.itemsize == 1 else np.empty(self._words.shape, np.uint8)
        self._keys = np.empty((self.batch, self.size), np.uint8 if self._bins <= 128 else np.int32)
        self._shared, self._other = np.empty((2, self.size), np.uint8)
        self._offset = self._shared if self._keys.itemsize == 1 else np.empty(self.size, np.int32)

    def look_up(self, label: NDArray[np.uint8], block: slice) -> None:
        """Find the items ``block`` that are relevant for queries of label ``label``, packed in bytes."""
        items = self._labels[:, block]
        shared, other, offset = (part[: items.shape[1]] for part in (self._shared, self._other, self._offset))
        first, *others = label.nonzero()[0].tolist() or [0]
        np.bitwise_and(items[first], label[first], out=shared)
        for byte in others:
            np.bitwise_or(shared, np.bitwise_and(items[byte], label[byte], out=other), out=shared)
        np.not_equal(shared, 0, out=shared.view(np.bool_))
        np.multiply(shared, offset.dtype.type(self._bins), out=offset)

    def of(self, queries: NDArray[Any], block: slice) -> NDArray[Any]:
        """Return the keys ``(B, n)`` of the items ``block`` for queries ``(B, W)`` of the label looked up last.

        Returns:
            a buffer, valid until the next call.
        """
        items = self._codes[:, block]
        part = slice(len(queries)), slice(None), slice(items.shape[1])
        words, bits, keys = self._words[part], self._bits[part], self._keys[part[::2]]
        np.bitwise_xor(items, queries[:, :, None], out=words)
        np.bitwise_count(words, out=bits)
        np.add.reduce(bits, axis=1, dtype=keys.dtype, out=keys)
        return np.add(keys, self._offset[part[2]], out=keys)


class _KeyCounter:
    """Counts small integers, bytes two at a time: half the updates of a twice larger, still cached, table.

    Args:
        counts: int64 ``(Q, bins)`` to add to; bytes need ``bins <= 256``.
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self._counts, self._bins = counts, counts.shape[1]
        self._rows: list[int] = []
        self._tables: list[Tensor] = []

    def add(self, row: int, keys: NDArray[Any]) -> None:
        """Count ``keys``, uint8 or int32 ``(n,)``, in ``row``, at the latest when `flush` is called."""
        if keys.dtype != np.uint8:
            self._counts[row] += _bincount(keys, self._bins).numpy()
            return
        if len(keys) % 2:
            self._counts[row, keys[-1]] += 1
            keys = keys[:-1]
        pairs = keys.view(np.int16) if self._bins <= 128 else keys.view(np.uint16).astype(np.int32)
        self._rows.append(row)
        self._tables.append(_bincount(pairs, 256 * self._bins))
        if len(self._rows) == _PENDING:
            self.flush()

    def flush(self) -> None:
        """Add what is pending; a row must not be pending twice."""
        if self._rows:
            tables = torch.stack(self._tables).view(-1, self._bins, 256)[:, :, : self._bins]
            self._counts[self._rows] += (tables.sum(1) + tables.sum(2)).numpy()
            self._rows, self._tables = [], []


def _bincount(keys: NDArray[Any], bins: int) -> Tensor:
    return torch.bincount(torch.from_numpy(keys), minlength=bins)  # does not widen keys, as NumPy does


def _equal_neighbours(words: NDArray[Any], rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Cut ``rows`` where the words ``(W, Q)`` of one row and the next differ."""
    own = words[:, rows]
    if len(rows):
        yield from np.split(rows, np.flatnonzero((own[:, 1:] != own[:, :-1]).any(axis=0)) + 1)
