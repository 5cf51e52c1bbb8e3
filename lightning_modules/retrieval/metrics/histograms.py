"""How many items, and how many relevant ones, lie at each Hamming distance from each query.

These two histograms are all that rankings with randomly broken ties depend on. They take ``2 (K + 1)``
numbers per query whatever the size of the database, and they add up over parts of the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.retrieval.metrics.packing import (
    PackedBits,
    Scanner,
    check_codes,
    check_labels,
    check_same_length,
    check_same_width,
    pack_bits,
)

Backend = Literal["auto", "popcount", "matmul"]

_SERIAL = (1 << 15) - 1  # torch counts up to so many keys in the calling thread, without threads of its own
_PAIRS = 1 << 22  # query-item pairs per matrix product, about 100 MB


@dataclass(frozen=True)
class DistanceHistograms:
    """Counts of database items by Hamming distance, one row per query.

    Attributes:
        total: int64 ``(Q, K + 1)`` on the CPU; column d counts the items at distance d.
        relevant: int64 ``(Q, K + 1)`` on the CPU; those of them that share at least one class with the query.
    """

    total: Tensor
    relevant: Tensor

    def __post_init__(self) -> None:
        if self.total.ndim != 2 or self.total.shape != self.relevant.shape:
            raise ValueError(
                "histograms must both have shape (Q, K + 1), got "
                f"{tuple(self.total.shape)} and {tuple(self.relevant.shape)}"
            )

    def __len__(self) -> int:
        return len(self.total)

    def __add__(self, other: DistanceHistograms) -> DistanceHistograms:
        """Merge with the histograms of the same queries over another part of the database."""
        if self.total.shape != other.total.shape:
            raise ValueError(
                "only histograms of the same queries and code length add up, got shapes "
                f"{tuple(self.total.shape)} and {tuple(other.total.shape)}"
            )
        return DistanceHistograms(self.total + other.total, self.relevant + other.relevant)


def distance_histograms(
    query_codes: Tensor,
    query_labels: Tensor,
    database_codes: Tensor,
    database_labels: Tensor,
    *,
    chunk: int = 1 << 18,
    backend: Backend = "auto",
) -> DistanceHistograms:
    """Count database items, and relevant ones, at each Hamming distance from each query.

    Exact integers: the result depends neither on ``chunk`` nor on the backend, the device or the number of
    threads (``torch.get_num_threads()`` of them work on the CPU).

    Args:
        query_codes: ``(Q, K)`` in {-1, +1}.
        query_labels: ``(Q, C)`` multi-hot in {0, 1}.
        database_codes: ``(N, K)`` in {-1, +1}.
        database_labels: ``(N, C)`` multi-hot in {0, 1}.
        chunk: database items handled at once, >= 1; bounds the memory.
        backend: ``popcount`` counts bits of packed codes on the CPU; ``matmul`` takes distances from matrix
            products on the device of ``query_codes``; ``auto`` is ``popcount`` for tensors on the CPU.

    Raises:
        ValueError: on codes other than -1 and +1, labels other than 0 and 1, numbers of bits, classes or
            items that do not fit together, or an unknown backend.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    codes = check_codes(query_codes, "query codes"), check_codes(database_codes, "database codes")
    labels = check_labels(query_labels, "query labels"), check_labels(database_labels, "database labels")
    check_same_length(query_codes, query_labels, "the query set")
    check_same_length(database_codes, database_labels, "the database")
    check_same_width(*codes, "bits")
    check_same_width(*labels, "classes")
    if backend == "auto":
        backend = "popcount" if query_codes.device.type == "cpu" else "matmul"
    match backend:
        case "popcount":
            return _popcount(codes, labels, chunk)
        case "matmul":
            return _matmul(codes, labels, chunk)
        case _:
            raise ValueError(f"backend must be auto, popcount or matmul, got {backend!r}")


def _popcount(codes: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor], chunk: int) -> DistanceHistograms:
    packed = [pack_bits(part > 0) for part in codes], [pack_bits(part > 0) for part in labels]
    workers = max(1, min(torch.get_num_threads(), len(codes[0])))
    count = partial(_count_queries, packed[0], packed[1], chunk)
    with ThreadPoolExecutor(workers) as pool:  # NumPy and torch let go of the interpreter lock while counting
        counts = np.concatenate(list(pool.map(count, np.array_split(np.arange(len(codes[0])), workers))))
    irrelevant, relevant = torch.from_numpy(counts).unbind(1)
    return DistanceHistograms(irrelevant + relevant, relevant.contiguous())


def _count_queries(
    codes: Sequence[PackedBits], labels: Sequence[PackedBits], chunk: int, queries: NDArray[np.intp]
) -> NDArray[np.int64]:
    """Return int64 ``(len(queries), 2, K + 1)``: irrelevant and relevant items by distance."""
    (query_codes, database_codes), (query_labels, database_labels) = codes, labels
    bins = query_codes.width + 1
    near, same = Scanner(database_codes, chunk), Scanner(database_labels, chunk)
    counts = np.empty((len(queries), 2, bins), np.int64)
    for row, query in enumerate(queries):
        keys = _KeyCounter(2 * bins)
        for start in range(0, len(database_codes), chunk):
            block = slice(start, start + chunk)
            distances = near.distances(query_codes.words[:, query], block)
            relevant = same.intersects(query_labels.words[:, query], block).view(np.uint8)
            if distances.dtype == np.uint8:
                np.multiply(relevant, np.uint8(bins), out=relevant)
                np.add(distances, relevant, out=distances)
            else:
                distances += relevant * np.int32(bins)
            keys.add(distances)
        counts[row] = keys.counts().reshape(2, bins)
    return counts


class _KeyCounter:
    """Counts small integers, bytes two at a time: half the updates of a twice larger, still cached, table.

    Args:
        bins: keys are in 0..bins - 1; bytes need ``bins <= 256``.
    """

    def __init__(self, bins: int) -> None:
        self._single = np.zeros(bins, np.int64)
        self._pairs: NDArray[np.int64] | None = None

    def add(self, keys: NDArray[Any]) -> None:
        """Count ``keys``, uint8 or int32 ``(n,)``."""
        bins = len(self._single)
        if keys.dtype != np.uint8:
            self._single += _bincount(keys, bins)
            return
        even = len(keys) // 2 * 2
        pairs = keys[:even].view(np.int16) if bins <= 128 else keys[:even].view(np.uint16).astype(np.int32)
        for start in range(0, len(pairs), _SERIAL):
            counts = _bincount(pairs[start : start + _SERIAL], 256 * bins)
            self._pairs = counts if self._pairs is None else np.add(self._pairs, counts, out=self._pairs)
        self._single += np.bincount(keys[even:], minlength=bins)

    def counts(self) -> NDArray[np.int64]:
        """Return int64 ``(bins,)``."""
        if self._pairs is None:
            return self._single
        table = self._pairs.reshape(-1, 256)
        return self._single + table.sum(axis=0)[: len(self._single)] + table.sum(axis=1)


def _bincount(keys: NDArray[Any], bins: int) -> NDArray[np.int64]:
    return torch.bincount(torch.from_numpy(keys), minlength=bins).numpy()  # does not widen keys, as NumPy does


def _matmul(codes: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor], chunk: int) -> DistanceHistograms:
    device, (num_queries, num_bits) = codes[0].device, codes[0].shape
    counts = torch.zeros(num_queries, 2, num_bits + 1, dtype=torch.int64, device=device)
    for start in range(0, len(codes[1]), chunk):
        items = codes[1][start : start + chunk].to(device, torch.float32)
        classes = labels[1][start : start + chunk].to(device, torch.float32)
        step = max(1, _PAIRS // len(items))
        for row in range(0, num_queries, step):
            rows = slice(row, row + step)
            inner = codes[0][rows].to(torch.float32) @ items.T  # exact, even in TF32: small integers
            keys = (num_bits - inner).div_(2).to(torch.int64)
            keys += (labels[0][rows].to(device, torch.float32) @ classes.T > 0) * (num_bits + 1)
            keys += torch.arange(len(keys), device=device)[:, None] * (2 * (num_bits + 1))
            part = torch.bincount(keys.flatten(), minlength=len(keys) * 2 * (num_bits + 1))
            counts[rows] += part.view(len(keys), 2, num_bits + 1)
    irrelevant, relevant = counts.cpu().unbind(1)
    return DistanceHistograms(irrelevant + relevant, relevant.contiguous())
