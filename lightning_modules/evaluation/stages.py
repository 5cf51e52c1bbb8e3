"""What each stage of an evaluation depends on: the facts that ``cache_key.py`` hashes to its key.

    targets      data, split, target options
    database     data, split, hasher
    adversarial  data, split, targets and their texts, attack, seed, source hasher, its database, defence of an
                 adaptive attack
    defended     the images that are defended, defence
    codes        the images that are hashed, hasher

``data`` is the fingerprint of ids, labels and splits together with how pictures are resized; ``hasher`` is
the digest of its weights and options, so that a retrained model never finds old codes. Raise a stage's version in
``STAGE_VERSIONS`` of ``store_files.py`` when a change alters numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from lightning_modules.attacks import Attack
from lightning_modules.defences import Defence
from lightning_modules.evaluation.shards import ShardDataset
from lightning_modules.evaluation.store import ArtifactStore, Stage
from lightning_modules.store_files import ADVERSARIAL, STAGE_VERSIONS


@dataclass(frozen=True)
class QuerySet:
    """The queries of an evaluation as cache keys see them."""

    data: dict[str, Any]
    split: str
    total: int
    shard_size: int
    shards: int

    @classmethod
    def of(cls, data: dict[str, Any], split: str, queries: ShardDataset) -> QuerySet:
        """Describe sharded queries of the data with these facts."""
        return cls(data, split, queries.total, queries.size, len(queries))

    @property
    def facts(self) -> dict[str, Any]:
        """What identifies the clean query images."""
        return {"data": self.data, "split": self.split, "total": self.total, "shard_size": self.shard_size}


class CellStages(NamedTuple):
    """The stages of one cell; None where it has no attack or no defence."""

    attack: Stage | None
    defence: Stage | None
    codes: Stage

    @property
    def filled(self) -> list[Stage]:
        """Those that there are, in order."""
        return [stage for stage in self if stage is not None]


def _stage(store: ArtifactStore, name: str, facts: dict[str, Any], count: int) -> Stage:
    return store.stage(name, {"version": STAGE_VERSIONS[name]} | facts, count)


def targets_stage(store: ArtifactStore, queries: QuerySet, options: dict[str, Any]) -> Stage:
    """Return the stage of target labels; one shard with all queries of the split."""
    return _stage(store, "targets", {"data": queries.data, "split": queries.split, "options": options}, 1)


def database_stage(
    store: ArtifactStore, data: dict[str, Any], split: str, hasher: str, shard_size: int, count: int
) -> Stage:
    """Return the stage of the codes of a whole split."""
    return _stage(store, "database", {"data": data, "split": split, "hasher": hasher, "shard_size": shard_size}, count)


def adversarial_stage(
    store: ArtifactStore,
    queries: QuerySet,
    targets: Stage,
    database: Stage,
    attack: Attack,
    seed: int,
    through: tuple[Defence, int] | None = None,
    texts: str | None = None,
) -> Stage:
    """Return the stage of attacked query images.

    ``database`` is that of the hasher that is attacked, ``through`` the defence that gradients run through and the
    number of draws, ``texts`` the digest of the target texts that the attack reads.
    """
    facts = {
        "queries": queries.facts,
        "targets": targets.key if attack.targeted else None,  # an untargeted attack has none
        "database": database.key,
        "attack": attack.fingerprint(),
        "seed": seed,
    }
    if through is not None:
        facts["through"] = {"defence": through[0].fingerprint(), "draws": through[1]}
    if texts is not None:
        facts["texts"] = texts
    return _stage(store, ADVERSARIAL, facts, queries.shards)


def defended_stage(store: ArtifactStore, queries: QuerySet, attacked: Stage | None, defence: Defence) -> Stage:
    """Return the stage of defended images, made from attacked or (None) from clean ones."""
    facts = {"images": _images(queries, attacked), "defence": defence.fingerprint()}
    return _stage(store, "defended", facts, queries.shards)


def codes_stage(store: ArtifactStore, queries: QuerySet, images: Stage | None, hasher: str) -> Stage:
    """Return the stage of query codes, hashed from stored or (None) from clean images."""
    return _stage(store, "codes", {"images": _images(queries, images), "hasher": hasher}, queries.shards)


def _images(queries: QuerySet, stage: Stage | None) -> Any:
    return queries.facts if stage is None else stage.key
