"""Counting packed items by distance and relevance, in few and long calls.

A thread that counts needs the interpreter lock between two calls. Finding it taken costs as much as a call, and that
happens the more often the shorter the calls are and the more Python runs between them. So one call takes the whole
database where it can, and several queries, and what can be known of the queries is worked out before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.retrieval.metrics.packing import PackedBits, Scanner

_BUFFER = 1 << 22  # bytes of words compared per call and thread, about what caches hold
_BATCH = 16  # most queries per call, each with a table of pairs
_KEPT = 32  # most classes whose relevant items are kept, a byte per item and class in each thread
_FEW = 4  # most classes put together from those
_DENSE = 4  # bytes of a label, per word, above which comparing words is faster


@dataclass(frozen=True)
class PackedItems:
    """Codes and labels of the queries or of the database."""

    codes: PackedBits
    labels: PackedBits


@dataclass(frozen=True)
class _Label:
    """A set of classes, in three ways.

    Attributes:
        classes: their numbers.
        masks: position and value of the bytes other than 0.
        words: packed, ``(W,)``.
    """

    classes: list[int]
    masks: list[tuple[int, int]]
    words: NDArray[Any]


@dataclass(frozen=True)
class _Batch:
    """Queries compared in one call: which ones, their codes ``(B, W, 1)``, and runs of them with equal labels."""

    rows: NDArray[np.intp]
    codes: NDArray[Any]
    runs: list[tuple[slice, _Label]]


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
    keys = _Keys(database, chunk)
    batches = list(_batches(queries, rows, keys.batch))
    for start in range(0, len(database.codes), keys.size):
        keys.turn_to(slice(start, start + keys.size))
        for batch in batches:
            counts[batch.rows] += count_keys(keys.of(batch), counts.shape[1])


def _batches(queries: PackedItems, rows: NDArray[np.intp], size: int) -> Iterator[_Batch]:
    codes, labels, words = (
        part.T[rows] for part in (queries.codes.countable(), queries.labels.bytes(), queries.labels.words)
    )
    for first in range(0, len(rows), size):
        part = slice(first, first + size)
        own = labels[part]
        cuts = [0, *(np.flatnonzero((own[1:] != own[:-1]).any(axis=1)) + 1).tolist(), len(own)]
        runs = [(slice(a, b), _read_label(own[a], words[first + a])) for a, b in pairwise(cuts)]
        yield _Batch(rows[part], codes[part, :, None], runs)


def _read_label(label: NDArray[np.uint8], words: NDArray[Any]) -> _Label:
    masks = [(byte, mask) for byte, mask in enumerate(label.tolist()) if mask]
    return _Label(np.flatnonzero(np.unpackbits(label)).tolist(), masks, words)


class _Keys:
    """Makes keys of items, the distance and K + 1 more if relevant, in buffers that are used again and again.

    Attributes:
        size: items per block, ``chunk`` or fewer.
        batch: queries per batch, at most.
    """

    def __init__(self, database: PackedItems, chunk: int) -> None:
        self._codes = self._items = database.codes.countable()
        per_item, bins = len(self._codes) * self._codes.itemsize, database.codes.width + 1
        self.size = max(1, min(chunk, len(database.codes), _BUFFER // per_item))
        self.batch = min(_BATCH, max(1, _BUFFER // (per_item * self.size)))
        self._words = np.empty((self.batch, len(self._codes), self.size), self._codes.dtype)
        self._bits = self._words if self._words.itemsize == 1 else np.empty(self._words.shape, np.uint8)
        even = self.size + self.size % 2  # rows begin at a pair
        self._keys = np.empty((self.batch, even), np.uint8 if bins <= 128 else np.min_scalar_type(-2 * bins))
        self._relevance = _Relevance(database.labels, self.size, self._keys.dtype.type(bins))

    def turn_to(self, block: slice) -> None:
        """Compare with the items ``block``, `size` of them at most, from now on."""
        self._items = self._codes[:, block]
        self._relevance.turn_to(block)

    def of(self, batch: _Batch) -> NDArray[Any]:
        """Return the keys ``(B, n)`` of the n items of the block: a buffer, valid until the next call."""
        part = slice(len(batch.rows)), slice(None), slice(self._items.shape[1])
        words, bits, keys = self._words[part], self._bits[part], self._keys[part[::2]]
        np.bitwise_xor(self._items, batch.codes, out=words)
        np.bitwise_count(words, out=bits)
        np.add.reduce(bits, axis=1, dtype=keys.dtype, out=keys)
        for run, label in batch.runs:
            np.add(keys[run], self._relevance.of(label), out=keys[run])
        return keys


class _Relevance:
    """Marks relevant items: those of a few classes are put together from those of each class, which are kept.

    Args:
        labels: the labels of the database.
        size: most items per block.
        value: the mark of a relevant item, in the type of the result; others get 0.
    """

    def __init__(self, labels: PackedBits, size: int, value: np.integer[Any]) -> None:
        self._labels = self._items = labels.bytes()
        self._words, self._block = Scanner(labels, size), slice(0, 0)
        self._value = value
        self._few = _FEW if labels.width <= _KEPT and value.itemsize == 1 else 0
        self._kept: dict[int, NDArray[Any]] = {}
        self._shared, self._other = np.empty((2, size), np.uint8)
        self._marks = np.empty(size, value.dtype)

    def turn_to(self, block: slice) -> None:
        """Mark the items ``block`` from now on."""
        self._items, self._block = self._labels[:, block], block
        self._kept.clear()

    def of(self, label: _Label) -> NDArray[Any]:
        """Return the marks ``(n,)`` for queries with this label: not to be written to, valid until the next call."""
        if len(label.masks) > _DENSE * len(label.words):
            shared = self._words.intersects(label.words, self._block).view(np.uint8)
            return np.multiply(shared, self._value, out=self._marks[: len(shared)])
        if not 0 < len(label.classes) <= self._few:
            return self._look_up(label.masks, self._marks)
        marks, *others = [self._of_class(number) for number in label.classes]
        for other in others:
            marks = np.bitwise_or(marks, other, out=self._marks[: len(other)])
        return marks

    def _of_class(self, number: int) -> NDArray[Any]:
        if number not in self._kept:
            mask = number // 8, 128 >> number % 8
            self._kept[number] = self._look_up([mask], np.empty_like(self._marks))
        return self._kept[number]

    def _look_up(self, masks: list[tuple[int, int]], out: NDArray[Any]) -> NDArray[Any]:
        shared, other, marks = (part[: self._items.shape[1]] for part in (self._shared, self._other, out))
        (byte, mask), *others = masks or [(0, 0)]
        np.bitwise_and(self._items[byte], mask, out=shared)
        for byte, mask in others:
            np.bitwise_or(shared, np.bitwise_and(self._items[byte], mask, out=other), out=shared)
        np.not_equal(shared, 0, out=shared.view(np.bool_))
        return np.multiply(shared, self._value, out=marks)


def count_keys(keys: NDArray[Any], bins: int) -> NDArray[np.int64]:
    """Count small integers, bytes two at a time: half the updates of a twice larger, still cached, table.

    Args:
        keys: uint8 or wider ``(B, n)`` in 0..bins - 1; rows of bytes must begin at even places.
        bins: number of different keys.

    Returns:
        int64 ``(B, bins)``.
    """
    if keys.dtype != np.uint8:
        return _bincounts(keys, bins).numpy()
    even = keys.shape[1] // 2 * 2
    pairs = keys[:, :even].view(np.int16) if bins <= 128 else keys[:, :even].view(np.uint16).astype(np.int32)
    tables = _bincounts(pairs, 256 * bins).view(-1, bins, 256)[:, :, :bins]
    counts: NDArray[np.int64] = tables.sum(1).add_(tables.sum(2)).numpy()
    if even < keys.shape[1]:
        counts[np.arange(len(keys)), keys[:, even]] += 1
    return counts


def _bincounts(keys: NDArray[Any], bins: int) -> torch.Tensor:
    """Count each row by torch, which does not widen the keys first, as NumPy does."""
    return torch.stack([torch.bincount(row, minlength=bins) for row in torch.from_numpy(keys)])
