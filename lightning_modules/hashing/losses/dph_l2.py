"""The "DPH" of the attack literature: regression of code products on similarities.

The ProS-GAN repository calls this loss DPH, and so do the paper's tables. It is a squared error of code inner
products as in KSH (Liu et al., CVPR 2012, eq. 6), not Deep Priority Hashing (Cao et al., ACM MM 2018).
"""

from __future__ import annotations

from torch import Tensor

from lightning_modules.hashing.losses.memory_loss import MemoryLoss
from lightning_modules.hashing.similarity import share_a_class


def product_regression(codes: Tensor, memory: Tensor, similarity: Tensor) -> Tensor:
    r"""Squared error of code products, one value per sample.

    .. math:: \frac1N \sum_j \left( \tfrac1K u_i^\top U_j - (2 S_{ij} - 1) \right)^2

    Args:
        codes: u, float ``(b, K)`` in (-1, 1).
        memory: U, float ``(N, K)``, codes of all training items.
        similarity: S, float ``(b, N)`` in {0, 1}.

    Returns:
        float ``(b,)``; 1 for an empty memory.
    """
    products = codes @ memory.T / codes.shape[1]
    return (products - (2 * similarity - 1)).square().mean(dim=1)


class DPHL2Loss(MemoryLoss):
    """The paper's "DPH" on a code memory; no quantisation term and no options."""

    def pairwise(self, codes: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`MemoryLoss.pairwise`."""
        return product_regression(codes, self.memory.codes, share_a_class(labels, self.memory.labels))
