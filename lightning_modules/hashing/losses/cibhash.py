"""CIBHash: contrastive information bottleneck hashing (Qiu et al., IJCAI 2021, arXiv 2105.06138)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.augmentation import ContrastiveAugmentation
from lightning_modules.configurable import build
from lightning_modules.hashing.losses.batch_loss import BatchLoss
from lightning_modules.hashing.losses.straight_through import straight_through_sign


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """NT-Xent of two views (Chen et al., ICML 2020, eq. 1): each finds the other among all ``2B - 1`` candidates.

    Args:
        first: float ``(B, K)``, one view of every item.
        second: float ``(B, K)``, the other.
        temperature: of the softmax over cosines.

    Returns:
        float ``(B,)``, the mean over the two directions.
    """
    views = F.normalize(torch.cat([first, second]), dim=1)
    logits = views @ views.T / temperature
    logits = logits.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(logits, partner, reduction="none").view(2, -1).mean(dim=0)


def bernoulli_divergence(logits: Tensor, other: Tensor) -> Tensor:
    """KL divergence of bits with probabilities ``sigmoid(logits)`` from ``sigmoid(other)``, summed over bits.

    Args:
        logits: float ``(B, K)``.
        other: float ``(B, K)``; without gradient.

    Returns:
        float ``(B,)``.
    """
    other = other.detach()
    ones = logits.sigmoid() * (F.logsigmoid(logits) - F.logsigmoid(other))
    zeros = (-logits).sigmoid() * (F.logsigmoid(-logits) - F.logsigmoid(-other))
    return (ones + zeros).sum(dim=1)


class CIBHashLoss(BatchLoss):
    """CIBHash, unsupervised: the signs of two augmented views agree, and differ from those of other items.

    Bits are Bernoulli variables of probability ``sigmoid(logits)``, binarised at 1/2 with a straight-through gradient,
    as the authors' code does where their paper samples them; the divergence between the views' bits bounds what a code
    may tell of one view only. The paper trains a hidden layer of 1,024 units and the bits on a frozen VGG-16.

    Args:
        temperature: of the contrastive softmax (0.3 in the authors' code).
        divergence: weight of the divergence (0.001 in the authors' code).
        augmentation: what makes a view; default: the authors'.
    """

    def __init__(
        self,
        temperature: float = 0.3,
        divergence: float = 0.001,
        augmentation: ContrastiveAugmentation | None = None,
    ) -> None:
        super().__init__()
        self.temperature, self.divergence = temperature, divergence
        chosen = ContrastiveAugmentation() if augmentation is None else augmentation
        self.augmentation = build(chosen, ContrastiveAugmentation)

    def views(self, images: Tensor) -> Sequence[Tensor]:
        """Draw two views of every picture."""
        return self.augmentation(images), self.augmentation(images)

    def relax(self, logits: Tensor, step: int) -> Tensor:
        """Keep the logits of the bits' probabilities."""
        del step
        return logits

    def of_batch(self, codes: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`BatchLoss.of_batch`; labels are not looked at."""
        del labels
        # sign(p - 1/2), with the gradient of p
        first, second = (straight_through_sign(view.sigmoid() - 0.5) for view in codes)
        contrast = nt_xent(first, second, self.temperature)
        divergence = (bernoulli_divergence(*codes) + bernoulli_divergence(*codes.flip(0))) / 2
        return contrast + self.divergence * divergence
