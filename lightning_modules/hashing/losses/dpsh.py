"""DPSH: deep pairwise-supervised hashing (Li, Wang and Kang, IJCAI 2016, arXiv 1511.03855, eq. 6-7)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.memory import CodeMemory
from lightning_modules.hashing.similarity import share_a_class
from lightning_modules.types import Batch, binarize


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


class DPSHLoss(HashingLoss):
    """DPSH with the code memory of the attack literature's reference code.

    ``L = L_sim + eta * L_q``; both terms are divided by the number N of training items there, so the
    quantisation weighs ``eta / N`` per sample and the balance shifts with the size of the data set. The
    current codes are written to the memory before the loss is taken.

    Args:
        eta: weight of the quantisation term (50 in the ProS-GAN repository, which the paper builds on).
        quantisation_by_n: divide the quantisation term by N, as that repository does. False weighs it
            ``eta`` per sample, as the formula of the DPSH paper does.
    """

    memory: CodeMemory

    def __init__(self, eta: float = 50.0, quantisation_by_n: bool = True) -> None:
        super().__init__()
        self.eta, self.quantisation_by_n = eta, quantisation_by_n

    def setup(self, facts: TrainingFacts) -> None:
        """Create the memory U."""
        self.memory = CodeMemory(facts.labels, facts.num_bits)

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; uses the image codes."""
        u = codes["image"].float()
        self.memory.write(batch.index, u)
        with torch.no_grad():
            similarity = share_a_class(batch.label, self.memory.labels)
        eta = self.eta / len(self.memory.labels) if self.quantisation_by_n else self.eta
        return dpsh_likelihood(u, self.memory.codes, similarity) + eta * quantisation(u)
