"""HashNet: hashing by continuation (Cao et al., ICCV 2017, arXiv 1702.00758)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.hashing.losses.base import TrainingFacts
from lightning_modules.hashing.losses.memory_loss import MemoryLoss
from lightning_modules.hashing.similarity import jaccard, share_a_class


def weighted_likelihood(codes: Tensor, memory: Tensor, similarity: Tensor, weights: Tensor, alpha: float) -> Tensor:
    r"""Weighted negative pairwise log-likelihood, one value per sample.

    .. math:: \frac1N \sum_j w_{ij} \left[ \log(1 + e^{\alpha u_i^\top U_j}) - \alpha S_{ij} u_i^\top U_j \right]

    Args:
        codes: u, float ``(b, K)`` in (-1, 1).
        memory: U, float ``(N, K)``.
        similarity: S, float ``(b, N)`` in {0, 1}.
        weights: w, float ``(b, N)``.
        alpha: slope of the sigmoid.

    Returns:
        float ``(b,)``.
    """
    theta = alpha * codes @ memory.T
    return (weights * (F.softplus(theta) - similarity * theta)).mean(dim=1)


def pair_weights(labels: Tensor) -> Tensor:
    """Inverse frequencies ``|S| / |S_0|`` and ``|S| / |S_1|`` of (dis)similar pairs of a training split, ``(2,)``.

    Args:
        labels: ``(N, C)`` in {0, 1}.
    """
    unique, counts = labels.unique(dim=0, return_counts=True)
    counts = counts.double()
    similar = counts @ share_a_class(unique, unique).double() @ counts
    total = torch.tensor(float(len(labels)) ** 2, dtype=torch.float64)
    return (total / torch.stack([total - similar, similar]).clamp_min(1)).float()


class HashNetLoss(MemoryLoss):
    """HashNet on a code memory: pairs weighted against their imbalance, a tanh that grows steeper while training.

    Args:
        alpha: slope of the sigmoid; 0.1 in the ProS-GAN repository. None takes 10 / K, as the authors' code does.
        continuous_similarity: weigh similar pairs by the Jaccard index of their labels (the paper's ``c_ij`` for
            several classes per item; always 1 for a single class). Public code leaves it out.
        gamma: growth of the tanh's slope per step: ``beta = (1 + gamma * step) ** power``.
        power: see ``gamma``.
        period: steps between two changes of the slope.
    """

    weights: Tensor

    def __init__(
        self,
        alpha: float | None = 0.1,
        continuous_similarity: bool = True,
        gamma: float = 0.005,
        power: float = 0.5,
        period: int = 200,
    ) -> None:
        super().__init__()
        if period < 1:
            raise ValueError(f"period={period}: expected at least 1 step")
        self.alpha, self.continuous_similarity = alpha, continuous_similarity
        self.gamma, self.power, self.period = gamma, power, period

    def setup(self, facts: TrainingFacts) -> None:
        """Create the memory U and count the pairs of the training split."""
        super().setup(facts)
        self.register_buffer("weights", pair_weights(facts.labels))

    def slope(self, step: int) -> float:
        """Slope beta of the tanh at an optimiser step."""
        return float((1 + self.gamma * (step // self.period * self.period)) ** self.power)

    def relax(self, logits: Tensor, step: int) -> Tensor:
        """Return ``tanh(beta * logits)``."""
        return torch.tanh(self.slope(step) * logits)

    def pairwise(self, codes: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`MemoryLoss.pairwise`."""
        similarity = share_a_class(labels, self.memory.labels)
        weights = self.weights[similarity.long()]
        if self.continuous_similarity:
            weights = weights * torch.where(similarity > 0, jaccard(labels, self.memory.labels), 1.0)
        alpha = 10 / codes.shape[1] if self.alpha is None else self.alpha
        return weighted_likelihood(codes, self.memory.codes, similarity, weights, alpha)
