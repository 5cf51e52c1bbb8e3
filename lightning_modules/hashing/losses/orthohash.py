"""OrthoHash: one loss for all (Hoe et al., NeurIPS 2021, arXiv 2109.14449)."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.losses.centres import hash_centres
from lightning_modules.hashing.losses.soft_labels import soft_cross_entropy
from lightning_modules.types import Batch


def margin_cosine_logits(codes: Tensor, centres: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Compute ``s (cos(v, o_c) - m y_c)``.

    Args:
        codes: v, float ``(B, K)``.
        centres: o, float ``(C, K)``.
        labels: y, ``(B, C)`` in {0, 1}.
        scale: s.
        margin: m.

    Returns:
        float ``(B, C)``.
    """
    cosines = F.normalize(codes, dim=1) @ F.normalize(centres, dim=1).T
    return scale * (cosines - margin * labels.to(codes.dtype))


class OrthoHashLoss(HashingLoss):
    """OrthoHash: a cosine classifier with a margin, whose weights are fixed binary orthogonal centres.

    The method normalises the bits over the batch: set ``batch_norm: true`` in the module, as its fragment does. An
    item with several classes has the label vector divided by its sum for target, one without any counts nothing.

    Args:
        scale: s (8 in the authors' code).
        margin: m (0.2 in the authors' code).
        seed: of random centres, where no orthogonal ones exist.
    """

    centres: Tensor

    def __init__(self, scale: float = 8.0, margin: float = 0.2, seed: int = 0) -> None:
        super().__init__()
        self.scale, self.margin, self.seed = scale, margin, seed

    def setup(self, facts: TrainingFacts) -> None:
        """Choose the centres."""
        self.register_buffer("centres", hash_centres(facts.labels.shape[1], facts.num_bits, self.seed))

    def relax(self, logits: Tensor, step: int) -> Tensor:
        """Keep the logits: only their direction counts."""
        del step
        return logits

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; uses the image logits."""
        v = codes["image"].float()
        return soft_cross_entropy(
            margin_cosine_logits(v, self.centres, batch.label, self.scale, self.margin), batch.label
        )
