"""What all cells of one hasher share: data, encoder, database codes, targets, stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from lightning_modules.attacks import VictimFacts
from lightning_modules.attacks.base import Knowledge
from lightning_modules.digests import digest_of_tensor
from lightning_modules.evaluation.database import DatabaseEncoding
from lightning_modules.evaluation.plan import EvaluationPlan
from lightning_modules.evaluation.shards import ShardDataset, shard_loader
from lightning_modules.evaluation.stages import QuerySet, database_stage, targets_stage
from lightning_modules.evaluation.store import ArtifactStore, Stage
from lightning_modules.evaluation.texts import TextSide, make_text_side
from lightning_modules.hashing import HashEncoder, digest_of_hasher, load_hasher
from lightning_modules.retrieval.targets import draw_target_rows, draw_targets
from lightning_modules.types import CodeBook

DATABASE_SHARD = 2048


@dataclass(frozen=True)
class HasherContext:
    """A hasher, ready to be attacked and scored.

    Attributes:
        name: the hasher's name in the plan.
        data: the data module, set up.
        encoder: the trained image encoder, in eval mode.
        digest: hash of its weights and of its backbone's options.
        database: codes, labels and ids of the database.
        training: the same of its training items.
        database_split: name of the split that is the database.
        database_stage: where the codes are stored.
        queries: the queries in shards.
        query_set: what cache keys know of them.
        query_labels: uint8 ``(Q, C)`` true labels of the queries.
        targets: uint8 ``(Q, C)`` target labels of the queries.
        targets_stage: where they are stored.
        store: the artefact store.
        text: the texts of a cross-modal hasher, None for one of images alone.
    """

    name: str
    data: Any
    encoder: HashEncoder
    digest: str
    database: CodeBook
    training: CodeBook
    database_split: str
    database_stage: Stage
    queries: ShardDataset
    query_set: QuerySet
    query_labels: Tensor
    targets: Tensor
    targets_stage: Stage
    store: ArtifactStore
    text: TextSide | None = None

    @property
    def victim_facts(self) -> VictimFacts:
        """What an attack on this hasher has to fit."""
        width = None if self.text is None else self.data.text_width
        return VictimFacts(self.encoder.num_bits, tuple(self.data.class_names), self.data.pixels.size, width)

    def known(self, knowledge: Knowledge) -> CodeBook:
        """Return the codes, labels and ids that an attacker knows; see ``Attack.knowledge``."""
        match knowledge:
            case "database":
                return self.database
            case "training":
                return self.training
            case "nothing":
                return self.database.part([])

    def target_rows(self, index: Tensor) -> Tensor:
        """Return the target labels of the queries at these positions, on the CPU."""
        return self.targets[index.cpu()]

    def target_text(self, index: Tensor) -> Tensor | None:
        """Return the target texts ``(B, d)`` of the queries at these positions, if targets are items with texts."""
        return None if self.text is None or self.text.targets is None else self.text.targets[index.cpu()]

    @property
    def target_texts_digest(self) -> str | None:
        """Hash of the target texts of all queries, if targets are items with texts."""
        return None if self.text is None or self.text.targets is None else digest_of_tensor(self.text.targets)

    def database_image(self, position: int) -> Tensor:
        """Return one database picture, uint8 ``(3, H, W)``."""
        image: Tensor = self.data.dataset(self.database_split)[position].image
        return image

    def database_text(self, position: int) -> str:
        """Return the caption of one database item; its id and classes where the data knows its features only."""
        items = self.data.dataset(self.database_split)
        caption: str | None = items.source.caption(int(items.rows[position]))
        if caption is not None:
            return caption
        classes = [self.data.class_names[i] for i in self.database.labels[position].nonzero().flatten()]
        return f"{self.database.ids[position]} ({', '.join(classes) or 'no class'})"


def make_context(
    plan: EvaluationPlan, name: str, data: Any, store: ArtifactStore, trainer: Callable[[], Trainer]
) -> HasherContext:
    """Load a hasher, hash its database and draw the targets, as far as that is not stored yet.

    Args:
        plan: the evaluation plan.
        name: the hasher's name in it.
        data: its data module, set up.
        store: the artefact store.
        trainer: makes a Trainer for the database.
    """
    module = load_hasher(plan.hashers[name].checkpoint, data)
    encoder = module.image_encoder
    digest = digest_of_hasher(encoder)
    facts, split = data.pixel_facts, plan.database_split
    stage = encode_database(encoder, digest, data, split, store, trainer)
    queries = ShardDataset(data.dataset(plan.split), data.collate, plan.shard_size, plan.num_queries)
    query_set = QuerySet.of(facts, plan.split, queries)
    labels = data.labels(plan.split)
    targets, drawn = _targets(plan, data, query_set, store)
    database = CodeBook(_load_codes(stage), data.labels(split), data.ids(split))
    text: TextSide | None = None
    if module.text_encoder is not None and data.text_width is not None:
        splits, rows = (plan.split, split), drawn.get("rows")
        text = make_text_side(module.text_encoder, data, splits, database, queries.total, rows)
    return HasherContext(
        name=name,
        data=data,
        encoder=encoder,
        digest=digest,
        database=database,
        training=_rows_of(database, data.ids("train")),
        database_split=split,
        database_stage=stage,
        queries=queries,
        query_set=query_set,
        query_labels=labels[: queries.total],
        targets=drawn["labels"][: queries.total],
        targets_stage=targets,
        store=store,
        text=text,
    )


def _targets(
    plan: EvaluationPlan, data: Any, queries: QuerySet, store: ArtifactStore
) -> tuple[Stage, dict[str, Tensor]]:
    """Draw the targets of all queries, and keep them: labels, and the items that they are of where there are any."""
    options, of_rows = asdict(plan.targets), plan.targets.pool == "rows"
    stage = targets_stage(store, queries, options | ({"kept": "rows"} if of_rows else {}))
    asked, ids, ranked = data.labels(plan.split), data.ids(plan.split), data.labels(plan.database_split)

    def draw() -> dict[str, Tensor]:
        if not of_rows:
            return {"labels": draw_targets(asked, ids, ranked, **options)}
        rows = draw_target_rows(asked, ids, ranked, plan.targets.exclude, plan.targets.drop_empty, plan.targets.seed)
        return {"labels": ranked[rows], "rows": rows}

    drawn = stage.shard(0, draw)
    stage.finish()
    return stage, drawn


def encode_database(
    encoder: HashEncoder, digest: str, data: Any, split: str, store: ArtifactStore, trainer: Callable[[], Trainer]
) -> Stage:
    """Hash the database shard by shard; what is stored already is not computed again."""
    shards = ShardDataset(data.dataset(split), data.collate, DATABASE_SHARD)
    stage = database_stage(store, data.pixel_facts, split, digest, DATABASE_SHARD, len(shards))
    if stage.missing():
        runner = trainer()
        loader = shard_loader(shards, runner.global_rank, runner.world_size)
        runner.test(DatabaseEncoding(encoder, stage), loader, verbose=False)
        runner.strategy.barrier()
        stage.finish()
    return stage


def _rows_of(database: CodeBook, ids: Sequence[str]) -> CodeBook:
    """Return the items with these ids; training items are part of every database."""
    place = {sample_id: row for row, sample_id in enumerate(database.ids)}
    return database.part([place[sample_id] for sample_id in ids])


def _load_codes(stage: Stage) -> Tensor:
    return torch.cat([stage.load(shard)["codes"] for shard in range(stage.count)])
