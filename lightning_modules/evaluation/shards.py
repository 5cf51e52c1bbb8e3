"""Queries in shards: the unit that is attacked, purified, stored and resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, Dataset, Sampler

from lightning_modules.types import Batch


class Shard(NamedTuple):
    """Some consecutive items of a split, with the number of the shard."""

    number: int
    batch: Batch


class ShardDataset(Dataset[Shard]):
    """A split, cut in shards of ``size`` consecutive items.

    Args:
        items: map-style data set of one split.
        collate: turns a list of its items into a Batch.
        size: items per shard.
        limit: use the first items only; None takes all.
    """

    def __init__(self, items: Any, collate: Callable[[list[Any]], Batch], size: int, limit: int | None = None) -> None:
        self.items, self.collate, self.size = items, collate, size
        self.total = len(items) if limit is None else min(limit, len(items))

    def __len__(self) -> int:
        return -(-self.total // self.size)

    def __getitem__(self, number: int) -> Shard:
        if not 0 <= number < len(self):
            raise IndexError(number)
        rows = range(number * self.size, min((number + 1) * self.size, self.total))
        return Shard(number, self.collate([self.items[row] for row in rows]))


class RankSampler(Sampler[int]):
    """Every ``world``-th shard, none twice: unlike DistributedSampler it repeats nothing to even out.

    Args:
        count: number of shards.
        rank: this process.
        world: number of processes.
    """

    def __init__(self, count: int, rank: int = 0, world: int = 1) -> None:
        self.shards = range(rank, count, world)

    def __iter__(self) -> Iterator[int]:
        return iter(self.shards)

    def __len__(self) -> int:
        return len(self.shards)


def shard_loader(dataset: ShardDataset, rank: int, world: int, num_workers: int = 0) -> DataLoader:
    """Return a loader of this process's shards, one per step."""
    sampler = RankSampler(len(dataset), rank, world)
    return DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=num_workers)
