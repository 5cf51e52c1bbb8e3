"""Rankings by (distance, database index): ties broken in the order of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.retrieval.metrics.packing import (
    PackedBits,
    Scanner,
    check_same_length,
    check_same_width,
    pack_codes,
    pack_labels,
)

T = TypeVar("T")


def top_n(query_codes: Tensor, database_codes: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Nearest database items of each query.

    Args:
        query_codes: ``(Q, K)`` in {-1, +1}.
        database_codes: ``(N, K)`` in {-1, +1}.
        n: length of each list, 1..N.

    Returns:
        Positions in the database and Hamming distances in 0..K, both int64 ``(Q, n)`` on the CPU, by
        ascending distance, then position.

    Raises:
        ValueError: on codes other than -1 and +1, different code lengths, or n outside 1..N.
    """
    queries, database = pack_codes(query_codes, "query codes"), pack_codes(database_codes, "database codes")
    check_same_width(query_codes, database_codes, "bits")
    if not 1 <= n <= len(database):
        raise ValueError(f"n must be in 1..{len(database)}, the size of the database, got {n}")
    indices, distances = nearest(queries, database, n)
    return torch.from_numpy(indices), torch.from_numpy(distances)


def nearest(
    queries: PackedBits, database: PackedBits, n: int, chunk: int = 1 << 20
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nearest rows of each query, as `top_n` finds them, among packed codes.

    Args:
        queries: ``Q`` packed codes.
        database: ``N`` packed codes of the same width.
        n: length of each list, 1..N.
        chunk: database rows compared at once, >= 1; bounds the memory.

    Returns:
        Positions and distances, int64 ``(Q, n)``, by ascending distance, then position.
    """
    indices, distances = (np.empty((len(queries), n), np.int64) for _ in range(2))

    def rank(query: int) -> None:
        scanner, words = Scanner(database, chunk), queries.words[:, query]
        kept, near = np.empty(0, np.int64), np.empty(0, np.int64)
        for start in range(0, len(database), chunk):
            found = scanner.distances(words, slice(start, start + chunk))
            # Later rows lose ties, so a full list takes only what is nearer than its end.
            rows = _smallest(found, n) if len(kept) < n else np.flatnonzero(found < near[-1])
            kept, near = np.concatenate([kept, rows + start]), np.concatenate([near, found[rows]])
            order = near.argsort(kind="stable")[:n]
            kept, near = kept[order], near[order]
        indices[query], distances[query] = kept, near

    _for_each(rank, range(len(queries)))
    return indices, distances


def _smallest(values: NDArray[np.integer], n: int) -> NDArray[np.intp]:
    """Positions of the n smallest values and of all that equal the largest of these; counting beats sorting here."""
    if len(values) <= n:
        return np.arange(len(values))
    within = np.bincount(values).cumsum()
    return np.flatnonzero(values <= within.searchsorted(n))


def ranked_relevance(
    query_codes: Tensor,
    query_labels: Tensor,
    database_codes: Tensor,
    database_labels: Tensor,
    *,
    chunk: int = 16,
) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
    """Rank the database for each query and tell which ranks are relevant.

    Args:
        query_codes: ``(Q, K)`` in {-1, +1}.
        query_labels: ``(Q, C)`` multi-hot in {0, 1}.
        database_codes: ``(N, K)`` in {-1, +1}.
        database_labels: ``(N, C)`` multi-hot in {0, 1}.
        chunk: queries per part, >= 1; bounds the memory.

    Yields:
        ``(rows, relevant)``: the queries of a part and bool ``(len(rows), N)``, nearest rank first, True
        where the item shares at least one class with the query.

    Raises:
        ValueError: as `distance_histograms` does.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    queries, database = pack_codes(query_codes, "query codes"), pack_codes(database_codes, "database codes")
    wanted, given = pack_labels(query_labels, "query labels"), pack_labels(database_labels, "database labels")
    check_same_length(query_codes, query_labels, "the query set")
    check_same_length(database_codes, database_labels, "the database")
    check_same_width(query_codes, database_codes, "bits")
    check_same_width(query_labels, database_labels, "classes")

    def rank(query: int) -> NDArray[np.bool_]:
        relevant = Scanner(given, len(given)).intersects(wanted.words[:, query], slice(None))
        return relevant[_distances(queries, database, query).argsort(kind="stable")]

    for start in range(0, len(queries), chunk):
        rows = slice(start, min(start + chunk, len(queries)))
        yield rows, np.stack(_for_each(rank, range(rows.start, rows.stop)))


def _distances(queries: PackedBits, database: PackedBits, query: int) -> NDArray[np.integer]:
    return Scanner(database, len(database)).distances(queries.words[:, query], slice(None))


def _for_each(function: Callable[[int], T], queries: range) -> list[T]:
    """Call ``function`` for each query in threads: NumPy sorts without the interpreter lock."""
    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        return list(pool.map(function, queries))
