"""Seeded splits: train is part of the database, queries and validation items are in neither."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datamodules.source import DataError, ItemSource

SPLIT_RULE = "retpur-v1"


@dataclass(frozen=True)
class SplitSizes:
    """How many items each split takes; None takes all that are left.

    Attributes:
        query: queries, from the query pool.
        val: validation queries, from the database pool, taken out of the database.
        train: training items, a subset of the database.
        database: database items.
    """

    query: int | None = 1000
    val: int = 500
    train: int | None = 5000
    database: int | None = None


@dataclass(frozen=True)
class Splits:
    """Rows of a source, one ascending int64 array per split."""

    train: np.ndarray
    val: np.ndarray
    query: np.ndarray
    database: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in ("train", "val", "query", "database"):
            raise KeyError(f"no split {name!r}: expected train, val, query or database")
        return getattr(self, name)


def seeded_order(ids: Sequence[str], seed: int) -> np.ndarray:
    """Order items by sha256(seed + id): the rule ``retpur-v1``, independent of the rows' order on disk."""
    digests = [hashlib.sha256(f"{seed}{sample_id}".encode()).digest() for sample_id in ids]
    return np.array(sorted(range(len(ids)), key=digests.__getitem__), dtype=np.int64)


def make_splits(source: ItemSource, sizes: SplitSizes, seed: int) -> Splits:
    """Draw the four splits; the same for the same ids, sizes and seed on any machine.

    Raises:
        DataError: a pool is too small for the sizes asked for, or a split would be empty.
    """
    query = _take("query", _shuffled(source.query_pool, source, seed), sizes.query)
    rest = np.setdiff1d(source.database_pool, query)
    if len(rest) == 0 < len(source.database_pool):
        raise DataError(f"query_size={sizes.query} takes all {len(query)} items and leaves none for the database")
    pool = _shuffled(rest, source, seed)
    val = _take("val", pool, sizes.val)
    database = _take("database", pool[len(val) :], sizes.database)
    train = _take("train", database, sizes.train)
    splits = Splits(*(np.sort(rows) for rows in (train, val, query, database)))
    check_splits(splits, source.ids)
    return splits


def check_splits(splits: Splits, ids: Sequence[str]) -> None:
    """Check that train lies inside the database, and that queries and validation items share nothing with it.

    Raises:
        DataError: naming the split and up to five offending ids.
    """

    def offenders(rows: np.ndarray) -> str:
        return ", ".join(ids[row] for row in rows[:5]) + (" ..." if len(rows) > 5 else "")

    for name in ("train", "query", "database"):
        if len(splits[name]) == 0:
            raise DataError(f"split {name!r} is empty: raise {name}_size or check the source")
    outside = np.setdiff1d(splits.train, splits.database)
    if len(outside):
        raise DataError(f"{len(outside)} training items are not in the database: {offenders(outside)}")
    for name, other in (("query", "database"), ("val", "database"), ("query", "val")):
        inside = np.intersect1d(splits[name], splits[other])
        if len(inside):
            raise DataError(f"{len(inside)} {name} items are also in split {other!r}: {offenders(inside)}")


def _shuffled(pool: np.ndarray, source: ItemSource, seed: int) -> np.ndarray:
    return pool[seeded_order([source.ids[row] for row in pool], seed)]


def _take(name: str, pool: np.ndarray, size: int | None) -> np.ndarray:
    if size is None:
        return pool
    if size < 0:
        raise DataError(f"{name}_size={size}: expected 0 or more")
    if size > len(pool):
        raise DataError(f"{name}_size={size}, but only {len(pool)} items are available for {name!r}")
    return pool[:size]
