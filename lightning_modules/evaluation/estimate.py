"""What is left of a stage, and what it will take: from the seconds that stored shards took, never from a guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightning_modules.evaluation.store import ArtifactStore, Stage, StageRecord

# Stages of one name that agree in these facts do the same work per item.
WORK = ("attack", "through", "defence", "hasher")


@dataclass(frozen=True)
class StageSize:
    """How large a stage is.

    Attributes:
        stage: the stage.
        items: of all its shards.
        per_shard: items per shard.
        item_bytes: stored per item.
        side: height of the pictures that it stores, 0 for none.
    """

    stage: Stage
    items: int
    per_shard: int
    item_bytes: int
    side: int = 0


@dataclass(frozen=True)
class StageEstimate:
    """What is left of a stage.

    Attributes:
        name: of the stage.
        stored: shards that are there.
        count: shards of the whole stage.
        bytes: to be written.
        seconds: to be spent by one process, None if nothing like it was ever measured.
        source: where ``seconds`` comes from.
    """

    name: str
    stored: int
    count: int
    bytes: int
    seconds: float | None
    source: str


def estimate(store: ArtifactStore, size: StageSize) -> StageEstimate:
    """Estimate what is left of a stage.

    The time of an item is that of the stage's own shards; of finished stages of the same attack, defence or hasher on
    pictures of the same size where it has none yet.

    Args:
        store: where to look for such stages.
        size: the stage and how large it is.
    """
    stage = size.stage
    missing = stage.missing()
    items = sum(min(size.per_shard, size.items - shard * size.per_shard) for shard in missing)
    seconds, source = (0.0, "stored") if not missing else _seconds_per_item(store, size)
    return StageEstimate(
        name=stage.name,
        stored=stage.count - len(missing),
        count=stage.count,
        bytes=items * size.item_bytes,
        seconds=None if seconds is None else items * seconds,
        source=source,
    )


def _seconds_per_item(store: ArtifactStore, size: StageSize) -> tuple[float | None, str]:
    own = size.stage.record()
    if own.items:
        return own.seconds / own.items, "its own shards"
    alike = [
        record
        for facts, record in store.finished(size.stage.name)
        if _work(facts) == _work(size.stage.facts) and record.side == size.side
    ]
    total = sum((record.items for record in alike), 0)
    if not total:
        return None, "unknown"
    return sum(record.seconds for record in alike) / total, _count(alike)


def _work(facts: dict[str, Any]) -> list[Any]:
    return [facts.get(name) for name in WORK]


def _count(alike: list[StageRecord]) -> str:
    return f"{len(alike)} stored {'stage' if len(alike) == 1 else 'stages'} like it"
