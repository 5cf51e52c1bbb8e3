"""DGCPN: deep graph-neighbour coherence preserving network (Yu et al., AAAI 2021), unsupervised; as its code has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.losses.base import TrainingFacts
from lightning_modules.hashing.losses.dgcpn_target import neighbour_probabilities, similarity_target
from lightning_modules.hashing.losses.procedure import Forward, MakeOptimizer, Step, TrainingProcedure
from lightning_modules.types import Batch, binarize


class DGCPN(TrainingProcedure):
    r"""Codes whose cosines follow a similarity made of both modalities and of the graph of neighbours.

    With XX, YY and XY the cosines within and between the codes x (image) and y (text) of a batch and S the target of
    :func:`~lightning_modules.hashing.losses.dgcpn_target.similarity_target`, ``~`` zeroing diagonals:

    .. math:: \frac1b \sum_i (XY_{ii} - K_0)^2
        + d \left[ \|\tilde{YY} - \tilde S\|^2 + \|\tilde{XY} - \tilde S\|^2 + \|\tilde{XX} - \tilde S\|^2 \right]
        + c \left[ \|XY - XX\|^2 + \|XY - YY\|^2 + \|XX - YY\|^2 + \|XY - XY^\top\|^2 \right]

    where norms are means over the b x b entries. A batch takes three steps: both networks; then, with codes computed
    anew, the image network against the signs of the text codes, and the text network against those of the image codes.

    Args:
        text_weight: weight a1 of the text in the similarity of two items; images weigh ``1 - a1``.
        graph_weight: weight a2 of the graph of neighbours in the target.
        neighbours: k, each item keeps its k nearest; None is 0.4 N, the published 2,000 of 5,000.
        scale: of the neighbourhood products; None is 2 k, the published 4,000, which puts their diagonal near 2.
        pair_target: K0, above the largest cosine on purpose.
        target_weight: d.
        coherence_weight: c.

    Raises:
        ValueError: a weight outside [0, 1], or a count that is not positive.
    """

    neighbour_rows: Tensor

    def __init__(
        self,
        text_weight: float = 0.01,
        graph_weight: float = 0.3,
        neighbours: int | None = None,
        scale: float | None = None,
        pair_target: float = 1.5,
        target_weight: float = 1.0,
        coherence_weight: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value in (("text_weight", text_weight), ("graph_weight", graph_weight)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value}: expected a weight in [0, 1]")
        if neighbours is not None and neighbours < 2:
            raise ValueError(f"neighbours={neighbours}: expected at least 2, one of which is the item itself")
        self.text_weight, self.graph_weight = text_weight, graph_weight
        self.neighbours, self.scale = neighbours, scale
        self.pair_target, self.target_weight, self.coherence_weight = pair_target, target_weight, coherence_weight

    def prepare(self, facts: TrainingFacts) -> None:
        """Compute the probabilities of all neighbours, ``(N, N)``; the target of a batch is made of its rows.

        Raises:
            ValueError: the image encoder has no frozen extractor whose features are kept, or there are too few items.
        """
        if "image" not in facts.inputs or "text" not in facts.inputs:
            raise ValueError("DGCPN needs text features and a FrozenBackbone with cache_features: its target is theirs")
        k = self._kept(len(facts.labels))
        device = facts.labels.device
        image, text = (facts.inputs[name]().to(device) for name in ("image", "text"))
        rows = neighbour_probabilities(image, text, self.text_weight, k)
        self.register_buffer("neighbour_rows", rows, persistent=False)

    def _kept(self, count: int) -> int:
        k = round(0.4 * count) if self.neighbours is None else self.neighbours
        if not 2 <= k <= count:
            raise ValueError(f"neighbours={k} of {count} training items: expected 2..{count}")
        return k

    def target(self, batch: Batch) -> Tensor:
        """Return S of a batch, float32 ``(b, b)``; entries may exceed 1."""
        rows = self.neighbour_rows[batch.index]
        if batch.features is None or batch.text is None:
            raise ValueError("DGCPN trains on kept features of images, and on text features")
        count = self.neighbour_rows.shape[1]
        scale = 2 * self._kept(count) if self.scale is None else self.scale
        return similarity_target(batch.features, batch.text, rows, self.text_weight, self.graph_weight, scale)

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; needs image and text codes."""
        x, y = (F.normalize(codes[name].float(), dim=1) for name in ("image", "text"))
        xx, yy, xy = x @ x.T, y @ y.T, x @ y.T
        target = _without_diagonal(self.target(batch))
        pair = (xy.diagonal() - self.pair_target).square()
        distances = sum(_rowwise(_without_diagonal(cosines), target) for cosines in (yy, xy, xx))
        coherence = _rowwise(xy, xx) + _rowwise(xy, yy) + _rowwise(xx, yy) + _rowwise(xy, xy.T)
        return pair + self.target_weight * distances + self.coherence_weight * coherence

    def optimizers(self, encoders: Mapping[str, HashEncoder], make: MakeOptimizer) -> dict[str, Optimizer]:
        """See :meth:`TrainingProcedure.optimizers`; one per network."""
        return {name: make(encoders[name].parameters()) for name in ("image", "text")}

    def steps(self, forward: Forward, batch: Batch) -> Iterator[Step]:
        """See :meth:`TrainingProcedure.steps`; real codes, then half real and half binary ones."""
        yield Step(self(forward.codes(), batch).mean(), ("image", "text"))
        codes = forward.codes()
        signs = {name: binarize(code).float() for name, code in codes.items()}
        for stepping, other in (("image", "text"), ("text", "image")):
            mixed = {stepping: codes[stepping], other: signs[other]}
            yield Step(self(mixed, batch).mean(), (stepping,), name=f"loss_{stepping}")


def _without_diagonal(matrix: Tensor) -> Tensor:
    return matrix - torch.diag_embed(matrix.diagonal())


def _rowwise(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared difference of every row, ``(b,)``."""
    return (first - second).square().mean(dim=1)
