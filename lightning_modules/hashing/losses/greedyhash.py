"""GreedyHash (Su et al., NeurIPS 2018): classification of signs, whose gradient is the identity's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.losses.soft_labels import soft_cross_entropy
from lightning_modules.hashing.losses.straight_through import straight_through_sign
from lightning_modules.types import Batch


def cubic_penalty(logits: Tensor) -> Tensor:
    """Mean over bits of ``| |h| - 1 |^3`` of logits ``(B, K)``, ``(B,)``."""
    return ((logits.abs() - 1).abs() ** 3).mean(dim=1)


class GreedyHashLoss(HashingLoss):
    """GreedyHash: a linear classifier on the signs, plus a penalty that draws the logits to -1 and +1.

    Args:
        penalty: weight of the penalty (0.1 in the authors' code for CIFAR-10).
        classification: ``softmax``, the paper's; an item with several classes has the label vector divided by its
            sum for target, one without any counts nothing. ``sigmoid``: binary cross-entropy of every class, as
            later toolboxes do for several classes per item.

    Raises:
        ValueError: another classification.
    """

    classifier: nn.Linear

    def __init__(self, penalty: float = 0.1, classification: Literal["softmax", "sigmoid"] = "softmax") -> None:
        super().__init__()
        if classification not in ("softmax", "sigmoid"):
            raise ValueError(f"classification={classification!r}: expected 'softmax' or 'sigmoid'")
        self.penalty, self.classification = penalty, classification

    def setup(self, facts: TrainingFacts) -> None:
        """Make the classifier."""
        self.classifier = nn.Linear(facts.num_bits, facts.labels.shape[1], bias=False)

    def relax(self, logits: Tensor, step: int) -> Tensor:
        """Keep the logits: the loss takes their signs."""
        del step
        return logits

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; uses the image logits."""
        logits = codes["image"].float()
        classes = self.classifier(straight_through_sign(logits))
        if self.classification == "softmax":
            error = soft_cross_entropy(classes, batch.label)
        else:
            error = F.binary_cross_entropy_with_logits(classes, batch.label.float(), reduction="none").mean(dim=1)
        return error + self.penalty * cubic_penalty(logits)
