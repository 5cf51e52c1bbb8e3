"""A hasher and its data, loaded: enough to name every stage of an evaluation before anything is computed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from lightning_modules.attacks import Attack, VictimFacts
from lightning_modules.defences import Defence
from lightning_modules.digests import digest_of_tensor
from lightning_modules.evaluation.database import shard_size
from lightning_modules.evaluation.plan import EvaluationPlan, TargetOptions
from lightning_modules.evaluation.shards import ShardDataset
from lightning_modules.evaluation.stages import (
    CellStages,
    QuerySet,
    adversarial_stage,
    codes_stage,
    database_stage,
    defended_stage,
    targets_stage,
)
from lightning_modules.evaluation.store import ArtifactStore, Stage
from lightning_modules.hashing import HashEncoder, digest_of_encoder, load_hasher
from lightning_modules.hashing.network import HashingNetwork
from lightning_modules.retrieval.targets import draw_target_rows, draw_targets


@dataclass(frozen=True)
class LoadedHasher:
    """A trained hasher with the data that it is evaluated on.

    Attributes:
        name: the hasher's name in the plan.
        data: the data module, set up.
        module: the trained networks, in eval mode.
        digest: hash of the image encoder's weights and of its backbone's options.
        database_split: name of the split that is the database.
        database_items: the database in shards.
        database_stage: where its codes are stored.
        queries: the queries in shards.
        query_set: what cache keys know of them.
        target_options: how target labels are drawn.
        targets_stage: where the target labels are stored.
        store: the artefact store.
    """

    name: str
    data: Any
    module: HashingNetwork
    digest: str
    database_split: str
    database_items: ShardDataset
    database_stage: Stage
    queries: ShardDataset
    query_set: QuerySet
    target_options: TargetOptions
    targets_stage: Stage
    store: ArtifactStore

    @property
    def encoder(self) -> HashEncoder:
        """The image encoder."""
        return self.module.image_encoder

    @property
    def victim_facts(self) -> VictimFacts:
        """What an attack on this hasher has to fit."""
        width = None if self.module.text_encoder is None else self.data.text_width
        return VictimFacts(self.encoder.num_bits, tuple(self.data.class_names), self.data.pixels.size, width)

    def draw_targets(self) -> dict[str, Tensor]:
        """Draw ``labels`` uint8 ``(Q, C)`` of all queries; ``rows`` int64 ``(Q,)``, the items they are of, if any."""
        data, split, options = self.data, self.query_set.split, self.target_options
        asked, ids, ranked = data.labels(split), data.ids(split), data.labels(self.database_split)
        if options.pool != "rows":
            return {"labels": draw_targets(asked, ids, ranked, **asdict(options))}
        rows = draw_target_rows(asked, ids, ranked, options.exclude, options.drop_empty, options.seed)
        return {"labels": ranked[rows], "rows": rows}

    @cached_property
    def target_texts_digest(self) -> str | None:
        """Hash of the target texts of all queries, if targets are items with texts."""
        if self.module.text_encoder is None or self.data.text_width is None or self.target_options.pool != "rows":
            return None
        try:
            rows = self.targets_stage.load(0)["rows"]
        except FileNotFoundError:
            rows = self.draw_targets()["rows"]
        return digest_of_tensor(self.data.text_features(self.database_split)[rows])


def load_for_evaluation(plan: EvaluationPlan, name: str, data: Any, store: ArtifactStore) -> LoadedHasher:
    """Load a hasher and name the stages that all its cells share.

    Args:
        plan: the evaluation plan.
        name: the hasher's name in it.
        data: its data module, set up.
        store: the artefact store.

    Raises:
        ValueError: no such checkpoint, or one that does not fit the data.
    """
    module = load_hasher(plan.hashers[name].checkpoint, data)
    digest, split, facts = digest_of_encoder(module.image_encoder), plan.database_split, data.pixel_facts
    items = ShardDataset(data.dataset(split), data.collate, shard_size(data.pixels.size))
    queries = ShardDataset(data.dataset(plan.split), data.collate, plan.shard_size, plan.num_queries)
    query_set = QuerySet.of(facts, plan.split, queries)
    options = asdict(plan.targets) | ({"kept": "rows"} if plan.targets.pool == "rows" else {})
    return LoadedHasher(
        name=name,
        data=data,
        module=module,
        digest=digest,
        database_split=split,
        database_items=items,
        database_stage=database_stage(store, facts, split, digest, items.size, len(items)),
        queries=queries,
        query_set=query_set,
        target_options=plan.targets,
        targets_stage=targets_stage(store, query_set, options),
        store=store,
    )


def cell_stages(
    victim: LoadedHasher,
    source: LoadedHasher,
    attack: Attack | None,
    defence: Defence | None,
    seed: int,
    through: tuple[Defence, int] | None = None,
) -> CellStages:
    """Return the stages that a cell fills; the arguments are those of ``EvaluationModule``."""
    store, queries = victim.store, victim.query_set
    attacked = defended = None
    if attack is not None:
        texts = source.target_texts_digest if attack.reads_texts else None
        attacked = adversarial_stage(
            store, queries, source.targets_stage, source.database_stage, attack, seed, through, texts
        )
    if defence is not None:
        defended = defended_stage(store, queries, attacked, defence)
    return CellStages(attacked, defended, codes_stage(store, queries, defended or attacked, victim.digest))
