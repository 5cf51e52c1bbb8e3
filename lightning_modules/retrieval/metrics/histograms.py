"""How many items, and how many relevant ones, lie at each Hamming distance from each query.

These two histograms are all that rankings with randomly broken ties depend on. They take ``2 (K + 1)``
numbers per query whatever the size of the database, and they add up over parts of the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lightning_modules.retrieval.metrics.counting import PackedItems, count_items
from lightning_modules.retrieval.metrics.packing import (
    check_codes,
    check_labels,
    check_same_length,
    check_same_width,
    pack_bits,
)

Backend = Literal["auto", "popcount", "matmul"]

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
    queries, database = (PackedItems(*map(pack_bits, part)) for part in zip(codes, labels, strict=True))
    counts = np.zeros((len(queries.codes), 2 * (queries.codes.width + 1)), np.int64)
    order = np.lexsort(queries.labels.words)  # queries with equal labels side by side
    workers = max(1, min(torch.get_num_threads(), len(order)))
    count = partial(count_items, queries, database, chunk, counts=counts)
    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        list(pool.map(count, np.array_split(order, workers)))
    irrelevant, relevant = torch.from_numpy(counts).unflatten(1, (2, -1)).unbind(1)
    return DistanceHistograms(irrelevant + relevant, relevant.contiguous())


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Keep torch from starting threads of its own in threads that start within."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
