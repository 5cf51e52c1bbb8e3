"""What all cells of one hasher share: data, encoder, database codes, targets, stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from lightning import Trainer
from torch import Tensor

from lightning_modules.attacks.base import Knowledge
from lightning_modules.evaluation.database import DatabaseEncoding
from lightning_modules.evaluation.hashers import LoadedHasher
from lightning_modules.evaluation.plan import EvaluationPlan
from lightning_modules.evaluation.shards import ShardSampler, busy_shards, shard_loader
from lightning_modules.evaluation.store import Stage
from lightning_modules.evaluation.texts import TextSide, make_text_side
from lightning_modules.types import CodeBook


@dataclass(frozen=True)
class HasherContext(LoadedHasher):
    """A hasher, ready to be attacked and scored.

    Attributes:
        database: codes, labels and ids of the database.
        training: the same of its training items.
        query_labels: uint8 ``(Q, C)`` true labels of the queries.
        targets: uint8 ``(Q, C)`` target labels of the queries.
        text: the texts of a cross-modal hasher, None for one of images alone.
    """

    database: CodeBook
    training: CodeBook
    query_labels: Tensor
    targets: Tensor
    text: TextSide | None

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


def make_context(plan: EvaluationPlan, hasher: LoadedHasher, trainer: Callable[[], Trainer]) -> HasherContext:
    """Hash the database of a hasher and draw its targets, as far as that is not stored yet.

    Args:
        plan: the evaluation plan.
        hasher: one of its hashers.
        trainer: makes a Trainer for the database.
    """
    encode_database(hasher, trainer)
    data, split, total = hasher.data, hasher.database_split, hasher.queries.total
    drawn = hasher.targets_stage.shard(0, hasher.draw_targets)
    hasher.targets_stage.finish()
    database = CodeBook(_load_codes(hasher.database_stage), data.labels(split), data.ids(split))
    text: TextSide | None = None
    if hasher.module.text_encoder is not None and data.text_width is not None:
        text = make_text_side(hasher.module.text_encoder, data, (plan.split, split), database, total, drawn.get("rows"))
    return HasherContext(
        **{field.name: getattr(hasher, field.name) for field in fields(hasher)},
        database=database,
        training=_rows_of(database, data.ids("train")),
        query_labels=data.labels(plan.split)[:total],
        targets=drawn["labels"][:total],
        text=text,
    )


def encode_database(hasher: LoadedHasher, trainer: Callable[[], Trainer]) -> None:
    """Hash the database shard by shard; what is stored already is not computed again."""
    stage, items, runner = hasher.database_stage, hasher.database_items, trainer()
    missing = stage.missing()
    if missing or runner.world_size > 1:  # all processes run the loop, whatever other machines finish meanwhile
        done = set(range(stage.count)).difference(missing)
        sampler = ShardSampler(len(items), runner.global_rank, runner.world_size, done, busy_shards([stage]))
        runner.test(DatabaseEncoding(hasher.encoder, stage), shard_loader(items, sampler), verbose=False)
        runner.strategy.barrier()
        stage.finish()


def _rows_of(database: CodeBook, ids: Sequence[str]) -> CodeBook:
    """Return the items with these ids; training items are part of every database."""
    place = {sample_id: row for row, sample_id in enumerate(database.ids)}
    return database.part([place[sample_id] for sample_id in ids])


def _load_codes(stage: Stage) -> Tensor:
    return torch.cat([stage.load(shard)["codes"] for shard in range(stage.count)])
