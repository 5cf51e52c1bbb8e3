"""Seeded splits: train and validation items are parts of the database, queries are not."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datamodules.source import DataError, ItemSource

SPLIT_RULE = "retpur-v1"
SPLIT_NAMES = ("train", "val", "query", "database")


@dataclass(frozen=True)
class SplitSizes:
    """How many items each split takes; None takes all that are left.

    Attributes:
        query: queries, from the query pool.
        val: validation queries: database items outside the training items. A validation ranks the database
            without them; a test ranks it all, so that a published database stays what it is. Where a published
            training list is the whole database they leave that list, with a warning.
        train: training items, a subset of the database.
        database: database items.
        val_database: at most that many items, evenly spread, are ranked while a network trains.
        seed: seed of the split rule ``retpur-v1``.
        train_skip: training items to leave out before the first one taken, for a second network that is to see others
            than the first.
    """

    query: int | None = 1000
    val: int = 500
    train: int | None = 5000
    database: int | None = None
    val_database: int = 5000
    seed: int = 0
    train_skip: int = 0


@dataclass(frozen=True)
class Splits:
    """Rows of a source, one int64 array per split.

    Attributes:
        train: training rows in the order of the published list or of the rule; a published list may repeat rows.
        val: validation queries, ascending.
        query: queries, ascending.
        database: database items, ascending.
    """

    train: np.ndarray
    val: np.ndarray
    query: np.ndarray
    database: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "val_database":  # what validation queries are ranked against
            return np.setdiff1d(self.database, self.val)
        if name not in SPLIT_NAMES:
            raise KeyError(f"no split {name!r}: expected {', '.join(SPLIT_NAMES)} or val_database")
        return getattr(self, name)


def seeded_order(ids: Sequence[str], seed: int, keys: Sequence[str] | None = None) -> np.ndarray:
    """Order items by sha256(seed + id): the rule ``retpur-v1``, independent of the rows' order on disk.

    With ``keys``, sha256(seed + key) comes first, so that items of one photograph are neighbours.
    """
    digests = [hashlib.sha256(f"{seed}{name}".encode()).digest() for name in (ids if keys is None else keys)]
    return np.array(sorted(range(len(ids)), key=lambda row: (digests[row], ids[row])), dtype=np.int64)


def _cut_between(order: np.ndarray, keys: Sequence[str] | None, size: int | None) -> np.ndarray:
    """Move a photograph that a cut at ``size`` would part behind the next items that stand alone."""
    if keys is None or size is None or not 0 < size < len(order) or keys[order[size - 1]] != keys[order[size]]:
        return order
    names = [keys[row] for row in order]
    start = names.index(names[size])
    count = Counter(names)
    alone = [place for place in range(size, len(order)) if count[names[place]] == 1][: size - start]
    return np.concatenate([order[:start], order[alone], np.delete(order, [*range(start), *alone])])


def make_splits(source: ItemSource, sizes: SplitSizes) -> Splits:
    """Draw the four splits; the same for the same ids, sizes and seed on any machine.

    Raises:
        DataError: a pool is too small for the sizes asked for, or a split would be empty.
    """
    pool = _cut_between(_shuffled(source.query_pool, source, sizes.seed), source.keys, sizes.query)
    query = _take("query", pool, sizes.query)
    rest = np.setdiff1d(source.database_pool, query)
    if len(rest) == 0 < len(source.database_pool):
        raise DataError(f"splits.query={sizes.query} takes all {len(query)} items and leaves none for the database")
    database = _take("database", _shuffled(rest, source, sizes.seed), sizes.database)
    published = source.train_pool
    free = database if published is None else database[~np.isin(database, published)]
    if published is not None and len(free) < sizes.val:
        warnings.warn(
            f"splits.val={sizes.val}: only {len(free)} database items are no training items, so validation items "
            "leave the published training list; splits.val=0 keeps it whole",
            stacklevel=2,
        )
        free = database
    val = _take("val", free, sizes.val)
    train = database[len(val) :] if published is None else published[~np.isin(published, val)]
    train = train[len(_take("train_skip", train, sizes.train_skip)) :]
    train = _take("train", train, sizes.train)
    splits = Splits(train, *(np.sort(rows) for rows in (val, query, database)))
    seeded = np.array_equal(source.query_pool, source.database_pool)
    check_splits(splits, source.ids, source.keys if seeded else None)  # published lists are what they are
    return splits


def check_splits(splits: Splits, ids: Sequence[str], keys: Sequence[str] | None = None) -> None:
    """Check who may be where: train and val inside the database, nothing shared between train, val and query.

    Args:
        splits: rows.
        ids: ids of all rows.
        keys: names of the photographs: no query may be in the database under another id.

    Raises:
        DataError: naming the split and up to five offending ids.
    """

    def offenders(rows: np.ndarray) -> str:
        return ", ".join(ids[row] for row in rows[:5]) + (" ..." if len(rows) > 5 else "")

    for name in ("train", "query", "database"):
        if len(splits[name]) == 0:
            raise DataError(f"split {name!r} is empty: raise splits.{name} or check the source")
    for name in ("train", "val"):
        outside = np.setdiff1d(splits[name], splits.database)
        if len(outside):
            raise DataError(f"{len(outside)} {name} items are not in the database: {offenders(outside)}")
    for name, other in (("query", "database"), ("val", "train")):
        inside = np.intersect1d(splits[name], splits[other])
        if len(inside):
            raise DataError(f"{len(inside)} {name} items are also in split {other!r}: {offenders(inside)}")
    if keys is not None:
        stored = {keys[row] for row in splits.database}
        twice = np.array([row for row in splits.query if keys[row] in stored], dtype=np.int64)
        if len(twice):
            raise DataError(f"{len(twice)} query photographs are in the database under another id: {offenders(twice)}")


def _shuffled(pool: np.ndarray, source: ItemSource, seed: int) -> np.ndarray:
    keys = None if source.keys is None else [source.keys[row] for row in pool]
    return pool[seeded_order([source.ids[row] for row in pool], seed, keys)]


def _take(name: str, pool: np.ndarray, size: int | None) -> np.ndarray:
    if size is None:
        return pool
    if size < 0:
        raise DataError(f"splits.{name}={size}: expected 0 or more")
    if size > len(pool):
        raise DataError(f"splits.{name}={size}, but only {len(pool)} items are available for {name!r}")
    return pool[:size]
