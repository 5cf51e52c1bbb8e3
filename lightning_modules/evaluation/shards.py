"""Queries in shards: the unit that is attacked, purified, stored and resumed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, Dataset, Sampler

from lightning_modules.evaluation.store import Stage
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


class ShardSampler(Sampler[int]):
    """The shards of one process: every ``world``-th, none twice, unlike DistributedSampler.

    A shard that another process is computing comes later, so that machines that share a store work side by side.

    Args:
        count: number of shards.
        rank: this process.
        world: number of processes.
        done: shards that are left out.
        busy: returns the shards that other processes are computing.
    """

    def __init__(
        self,
        count: int,
        rank: int = 0,
        world: int = 1,
        done: Container[int] = (),
        busy: Callable[[], set[int]] = set,
    ) -> None:
        self.shards = [shard for shard in range(rank, count, world) if shard not in done]
        self._busy = busy

    def __iter__(self) -> Iterator[int]:
        left = list(self.shards)
        while left:
            busy = self._busy()
            shard = next((shard for shard in left if shard not in busy), left[0])
            left.remove(shard)
            yield shard

    def __len__(self) -> int:
        return len(self.shards)


def shard_loader(dataset: ShardDataset, sampler: ShardSampler) -> DataLoader:
    """Return a loader of one process's shards, one per step."""
    return DataLoader(dataset, batch_size=None, sampler=sampler)


def busy_shards(stages: Iterable[Stage]) -> Callable[[], set[int]]:
    """Return a function that tells which shards of any of these stages other processes are computing."""
    left = list(stages)

    def busy() -> set[int]:
        left[:] = [stage for stage in left if stage.missing()]  # nobody computes what is finished
        return set().union(*(stage.busy() for stage in left))

    return busy
