"""DPSH: deep pairwise-supervised hashing (Li, Wang and Kang, IJCAI 2016, arXiv 1511.03855, eq. 6-7)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lightning_modules.hashing.losses.memory_loss import MemoryLoss
from lightning_modules.hashing.similarity import share_a_class
from lightning_modules.types import binarize


def dpsh_likelihood(codes: Tensor, memory: Tensor, similarity: Tensor) -> Tensor:
    r"""Negative pairwise log-likelihood, one value per sample.

    .. math:: -\frac1N \sum_j \left[ S_{ij} \theta_{ij} - \log(1 + e^{\theta_{ij}}) \right],
              \quad \theta_{ij} = \tfrac12 u_i^\top U_j

    Args:
        codes: u, float ``(b, K)`` in (-1, 1).
        memory: U, float ``(N, K)``, codes of all training items.
        similarity: S, float ``(b, N)`` in {0, 1}.

    Returns:
        float ``(b,)``; log 2 for an empty memory.
    """
    theta = 0.5 * codes @ memory.T
    return (F.softplus(theta) - similarity * theta).mean(dim=1)


def quantisation(codes: Tensor) -> Tensor:
    """Squared distance of codes ``(b, K)`` to their signs, ``(b,)``; no gradient through the sign."""
    return (binarize(codes).to(codes.dtype) - codes).square().sum(dim=1)


class DPSHLoss(MemoryLoss):
    """DPSH with the code memory of the attack literature's reference code.

    ``L = L_sim + eta * L_q``; both terms are divided by the number N of training items there, so the
    quantisation weighs ``eta / N`` per sample and the balance shifts with the size of the data set.

    Args:
        eta: weight of the quantisation term (50 in the ProS-GAN repository, which the paper builds on).
        quantisation_by_n: divide the quantisation term by N, as that repository does. False weighs it
            ``eta`` per sample, as the formula of the DPSH paper does.
    """

    def __init__(self, eta: float = 50.0, quantisation_by_n: bool = True) -> None:
        super().__init__()
        self.eta, self.quantisation_by_n = eta, quantisation_by_n

    def pairwise(self, codes: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`MemoryLoss.pairwise`."""
        similarity = share_a_class(labels, self.memory.labels)
        eta = self.eta / len(self.memory.labels) if self.quantisation_by_n else self.eta
        return dpsh_likelihood(codes, self.memory.codes, similarity) + eta * quantisation(codes)
