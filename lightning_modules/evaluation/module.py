"""EvaluationModule: the test loop of one cell. Attack, defend, hash, score; a shard of queries per step."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from lightning_modules.attacks import Attack
from lightning_modules.checks import round_to_8bit
from lightning_modules.defences import Defence
from lightning_modules.evaluation.context import HasherContext
from lightning_modules.evaluation.directions import DirectionScorer
from lightning_modules.evaluation.distortions import DISTORTIONS, distortions
from lightning_modules.evaluation.hashers import cell_stages
from lightning_modules.evaluation.outputs import QueryOutputs
from lightning_modules.evaluation.per_query import PerQuery
from lightning_modules.evaluation.plan import Cell
from lightning_modules.evaluation.shards import Shard
from lightning_modules.evaluation.stages import codes_stage
from lightning_modules.evaluation.treatment import attacked_encoder, craft, defend, hash_paths
from lightning_modules.retrieval.metrics import (
    DistanceHistograms,
    apply_empty_policy,
    distance_histograms,
    expected_average_precisions,
    top_n,
)
from lightning_modules.types import Batch, CodeBook

FIGURES = ("map", "t_map", "anchor_map", "anchor_t_map", "defended_mse", *DISTORTIONS)
CURVES = ("precision", "recall", "retrieved")  # within each Hamming radius 0..K


class EvaluationModule(LightningModule):
    """Evaluates one cell: queries are attacked, defended, hashed and ranked against the database.

    Images are rounded to 8 bit after the attack and after the defence; what is stored is what is scored.

    Attributes:
        stages: the stages that this cell fills, in order.

    Args:
        cell: the row of the table.
        victim: the hasher that is scored.
        source: the hasher that the attack was crafted on.
        attack: None leaves the queries clean.
        defence: None hashes them as they are.
        seed: seed of the attack's choices.
        through: the defence that an adaptive attack's gradients run through, and its draws per gradient.
        cutoff: k of the conventions of MAP that have one; see :mod:`~lightning_modules.evaluation.directions`.
    """

    def __init__(
        self,
        cell: Cell,
        victim: HasherContext,
        source: HasherContext,
        attack: Attack | None,
        defence: Defence | None,
        seed: int,
        through: tuple[Defence, int] | None = None,
        cutoff: int | None = None,
    ) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # fewer shards than processes
        self.cell, self.context, self.source, self.seed = cell, victim, source, seed
        self.encoder, self.source_encoder = victim.encoder, source.encoder
        self.attack, self.defence = attack, defence
        self.surrogate = None if through is None else through[0]
        self.draws = 1 if through is None else through[1]
        radii = victim.encoder.num_bits + 1
        curves = {name: PerQuery(radii) for name in CURVES} | {"flipped": PerQuery(radii - 1)}
        self.scorer = DirectionScorer(
            victim.database, victim.text, cutoff, attack is None and defence is None, self.targeted
        )
        self.figures: Any = nn.ModuleDict({name: PerQuery() for name in (*FIGURES, *self.scorer.names)} | curves)
        parts = cell_stages(victim, source, attack, defence, seed, through)
        self.attack_stage, self.defence_stage, self.codes_stage = parts
        self.stages = parts.filled
        self.clean_stage = codes_stage(victim.store, victim.query_set, None, victim.digest)

    @property
    def targeted(self) -> bool:
        """Whether T-MAP has a meaning: for targeted attacks, and for clean queries as their reference."""
        return self.attack is None or self.attack.targeted

    def test_step(self, shard: Shard, batch_idx: int) -> Any:
        """Evaluate one shard of queries, score it, and return its :class:`QueryOutputs`."""
        del batch_idx
        outputs = self.outputs(shard)
        self._score(shard.batch, outputs)
        return outputs

    def outputs(self, shard: Shard) -> QueryOutputs:
        """Attack, defend and hash one shard; what is stored already is read."""
        number, batch = shard.number, shard.batch.to(self.device)
        target = self.context.target_rows(batch.index)
        if not self.targeted:
            target = torch.zeros_like(target)
        attacked, anchor = self._attacked(number, batch, target)
        defended = self._defended(number, batch, attacked)
        codes = self.codes_stage.shard(number, lambda: {"codes": hash_paths(self.encoder, defended)})["codes"]
        clean = self.clean_stage.shard(number, lambda: {"codes": hash_paths(self.encoder, batch.image[None])})["codes"]
        return QueryOutputs(
            ids=batch.ids,
            original=round_to_8bit(batch.image).cpu(),
            attacked=round_to_8bit(attacked).cpu(),
            defended=round_to_8bit(defended[0]).cpu(),
            codes=codes,
            clean=clean,
            label=batch.label.cpu(),
            target=target,
            anchor=anchor,
        )

    def _attacked(self, number: int, batch: Batch, target: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.attack is None or self.attack_stage is None:
            return batch.image, None
        attack, source = self.attack, self.source

        def compute() -> dict[str, Tensor]:
            label = target if attack.targeted else batch.label.cpu()
            known, text = source.known(attack.knowledge), source.target_text(batch.index)
            through = None if self.surrogate is None else (self.surrogate, self.draws)
            victim = attacked_encoder(self.source_encoder, through, batch.ids)
            images, anchor = craft(attack, victim, batch.image, label, text, batch.ids, known, self.seed)
            return {"images": images} | ({} if anchor is None else {"anchor": anchor})

        stored = self.attack_stage.shard(number, compute)
        return stored["images"].to(self.device).float() / 255, stored.get("anchor")

    def _defended(self, number: int, batch: Batch, attacked: Tensor) -> Tensor:
        """Return the defended images of every path, float ``(n_paths, B, 3, H, W)`` in [0, 1]."""
        if self.defence is None or self.defence_stage is None:
            return attacked[None]
        defence = self.defence

        def compute() -> dict[str, Tensor]:
            paths = defend(defence, attacked, batch.ids)
            return {"images": paths[0]} | ({"paths": paths[1:]} if len(paths) > 1 else {})

        stored = self.defence_stage.shard(number, compute)
        paths = [stored["images"][None], stored["paths"]] if "paths" in stored else [stored["images"][None]]
        return torch.cat(paths).to(self.device).float() / 255

    def rank(self, images: Tensor, depth: int) -> Tensor:
        """Return the positions ``(B, depth)`` (or all) that uint8 images ``(B, 3, H, W)`` retrieve, best first."""
        return self._rank(images, self.context.database, depth)

    def rank_texts(self, images: Tensor, depth: int) -> Tensor:
        """Return the positions of the texts that images retrieve; see :meth:`rank`.

        Raises:
            ValueError: the hasher is one of images alone.
        """
        if self.context.text is None:
            raise ValueError(f"hasher {self.context.name!r} knows no texts")
        return self._rank(images, self.context.text.database, depth)

    def _rank(self, images: Tensor, database: CodeBook, depth: int) -> Tensor:
        codes = hash_paths(self.encoder, images.to(self.device)[None].float() / 255)
        return top_n(codes, database.codes, min(depth, len(database)))[0]

    def _score(self, batch: Batch, outputs: QueryOutputs) -> None:
        left = (outputs.defended.double() - outputs.original.double()).flatten(1) / 255
        found = _histograms(self.context, outputs.codes, outputs.label)
        retrieved, hits = found.total.cumsum(1), found.relevant.cumsum(1).double()
        values = dict.fromkeys(FIGURES, torch.full((len(batch),), torch.nan))  # of what this cell does not have
        values |= {
            "map": _average_precisions(found),
            "defended_mse": left.square().mean(dim=1),
            "precision": hits / retrieved,  # NaN where nothing lies within the radius
            "recall": hits / hits[:, -1:].clamp(min=1),
            "retrieved": retrieved.double(),
            "flipped": (outputs.codes != outputs.clean).double(),
        }
        values |= self.scorer(batch.index, outputs.codes, outputs.label, outputs.target)
        if self.targeted:
            values["t_map"] = _average_precisions(_histograms(self.context, outputs.codes, outputs.target))
        if self.attack is not None:
            values |= distortions(outputs.original.to(self.device), outputs.attacked.to(self.device))
        if outputs.anchor is not None:
            values |= self._anchor_scores(outputs.anchor, outputs)
        for name, value in values.items():
            self.figures[name].update(value, batch.index)

    def _anchor_scores(self, anchor: Tensor, outputs: QueryOutputs) -> dict[str, Tensor]:
        """Score the code that the attack steers to where it was crafted: another hasher may have other bits."""
        scores = {"anchor_map": _average_precisions(_histograms(self.source, anchor, outputs.label))}
        if self.targeted:
            scores["anchor_t_map"] = _average_precisions(_histograms(self.source, anchor, outputs.target))
        return scores

    def on_test_epoch_end(self) -> None:
        """Gather the figures of all processes and log MAP and, unless the attack is untargeted, T-MAP."""
        self.results = {name: metric.rows().cpu() for name, metric in self.figures.items()}
        for name in ("map", "t_map") if self.targeted else ("map",):
            self.log(name, self.results[name].mean().float(), prog_bar=True, rank_zero_only=True)


def _histograms(context: HasherContext, codes: Tensor, labels: Tensor) -> DistanceHistograms:
    database = context.database
    return distance_histograms(codes, labels, database.codes, database.labels)


def _average_precisions(histograms: DistanceHistograms) -> Tensor:
    return apply_empty_policy(expected_average_precisions(histograms))
