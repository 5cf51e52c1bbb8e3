"""DPH: deep priority hashing (Cao et al., ACM MM 2018, arXiv 1809.01238).

Not what the paper's tables call DPH; that is :mod:`~lightning_modules.hashing.losses.dph_l2`. Written from the
authors' released Caffe layers, which differ from the paper's formulas: the priority of a pair comes from the cosine of
its codes, and the quantisation has no priority.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.hashing.losses.batch_loss import BatchLoss
from lightning_modules.hashing.similarity import share_a_class


def pair_priorities(codes: Tensor, similarity: Tensor, gamma: float) -> Tensor:
    """Priority of every pair: high where the cosine of the codes contradicts the similarity. Without gradient.

    Args:
        codes: float ``(B, K)`` in (-1, 1).
        similarity: float ``(B, B)`` in {0, 1}.
        gamma: exponent.

    Returns:
        float ``(B, B)``: ``((1 - c) / 2)^gamma`` of similar and ``((1 + c) / 2)^gamma`` of dissimilar pairs; c is
        kept within +-0.99.
    """
    with torch.no_grad():
        unit = F.normalize(codes, dim=1)
        cosines = (unit @ unit.T).clamp(-0.99, 0.99)
        return ((1 + cosines - 2 * similarity * cosines) / 2) ** gamma


def balance_weights(similarity: Tensor, pairs: Tensor) -> Tensor:
    """Weights against the rareness of similar pairs: ``sqrt(n / deg_i * n / deg_j)`` of them, 1 of the others.

    Args:
        similarity: float ``(B, B)`` in {0, 1}.
        pairs: float ``(B, B)``, 1 where a pair counts, n of them in every row.

    Returns:
        float ``(B, B)``; 0 where a pair does not count.
    """
    degree = (similarity * pairs).sum(dim=1).clamp_min(1)
    share = pairs.sum(dim=1).clamp_min(1) / degree
    return pairs * torch.where(similarity > 0, (share[:, None] * share).sqrt(), 1.0)


def log_cosh_quantisation(codes: Tensor) -> Tensor:
    """Sum over bits of ``log cosh(|u| - 1)`` of codes ``(B, K)``, ``(B,)``; without overflow."""
    x = codes.abs() - 1
    return (F.softplus(-2 * x) + x - math.log(2)).sum(dim=1)


class DPHPriorityLoss(BatchLoss):
    """Deep Priority Hashing on all pairs of different items of a batch.

    ``L = sum_ij w_ij (q_ij / mean q) l_ij / sum_ij w_ij + quantisation * L_q`` with the likelihood
    ``l = softplus(theta) - S theta``, ``theta = (10 / K) u_i . u_j``, the priorities q and the balance w. The value of
    an item is its share of the first sum, times the number of items, plus its quantisation. The authors compare one
    half of a batch with the other, and their balance is in the gradient only, not in the value that they report.

    Args:
        gamma: exponent of the priorities (0.1 in the authors' code).
        quantisation: weight of the quantisation (0.1 in the authors' code).
    """

    def __init__(self, gamma: float = 0.1, quantisation: float = 0.1) -> None:
        super().__init__()
        self.gamma, self.quantisation = gamma, quantisation

    def of_batch(self, codes: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`BatchLoss.of_batch`."""
        similarity = share_a_class(labels, labels).to(codes.dtype)
        pairs = 1 - torch.eye(len(codes), dtype=codes.dtype, device=codes.device)
        theta = 10 / codes.shape[1] * codes @ codes.T
        priorities = pair_priorities(codes, similarity, self.gamma) * pairs
        priorities = priorities * (pairs.sum() / priorities.sum().clamp_min(1e-12))
        weights = balance_weights(similarity, pairs)
        likelihood = weights * priorities * (F.softplus(theta) - similarity * theta)
        shares = likelihood.sum(dim=1) / weights.sum().clamp_min(1e-12) * len(codes)
        return shares + self.quantisation * log_cosh_quantisation(codes)
