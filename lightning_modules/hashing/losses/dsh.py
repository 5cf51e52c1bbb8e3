"""DSH: deep supervised hashing for fast image retrieval (Liu et al., CVPR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.hashing.losses.batch_loss import BatchLoss, mean_over_others
from lightning_modules.hashing.similarity import share_a_class


def contrastive_pairs(codes: Tensor, similarity: Tensor, margin: float) -> Tensor:
    r"""Contrastive loss of all pairs: :math:`\tfrac12 S d^2 + \tfrac12 (1 - S) \max(m - d^2, 0)`, d the distance.

    Args:
        codes: float ``(B, K)``.
        similarity: S, float ``(B, B)`` in {0, 1}.
        margin: m.

    Returns:
        float ``(B, B)``.
    """
    squares = codes.square().sum(dim=1)
    distances = (squares[:, None] + squares - 2 * codes @ codes.T).clamp_min(0)
    return 0.5 * torch.where(similarity > 0, distances, (margin - distances).clamp_min(0))


class DSHLoss(BatchLoss):
    """DSH on the pairs of a batch. Codes are the plain outputs of the hashing layer, drawn to -1 and +1.

    The value of an item is the mean over its pairs with the others, each with the regulariser of both items.

    Args:
        regulariser: weight alpha of ``| |u_i| - 1 |_1 + | |u_j| - 1 |_1`` in a pair (0.01 in the paper).
        margin: m over K; the paper's margin is 2K.
        tanh: bound the codes by a tanh, as public reimplementations do; the paper has none, since a saturating
            function slows the training down.
    """

    def __init__(self, regulariser: float = 0.01, margin: float = 2.0, tanh: bool = False) -> None:
        super().__init__()
        self.regulariser, self.margin, self.tanh = regulariser, margin, tanh

    def relax(self, logits: Tensor, step: int) -> Tensor:
        """Keep the logits, unless ``tanh`` is wanted."""
        return super().relax(logits, step) if self.tanh else logits

    def of_batch(self, codes: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`BatchLoss.of_batch`."""
        pairs = contrastive_pairs(codes, share_a_class(labels, labels), self.margin * codes.shape[1])
        distance_to_binary = (codes.abs() - 1).abs().sum(dim=1)
        return mean_over_others(pairs + self.regulariser * (distance_to_binary[:, None] + distance_to_binary))
