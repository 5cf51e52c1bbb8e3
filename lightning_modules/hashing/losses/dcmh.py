"""DCMH: deep cross-modal hashing (Jiang and Li, CVPR 2017, arXiv 1602.02255, eq. 1)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.losses.dpsh import dpsh_likelihood
from lightning_modules.hashing.memory import CodeMemory
from lightning_modules.hashing.similarity import share_a_class
from lightning_modules.types import Batch, binarize


def balance(codes: Tensor, memory: Tensor, index: Tensor) -> Tensor:
    """Squared norm of the sum of all codes, those of the batch as they are now: ``||F 1||^2``, a scalar.

    Args:
        codes: float ``(b, K)``, codes of the items ``index``.
        memory: float ``(N, K)``, codes of all items; no gradient.
        index: int64 ``(b,)``, distinct.
    """
    others = memory.sum(dim=0) - memory[index].sum(dim=0)
    return (codes.sum(dim=0) + others).square().sum()


class DCMHLoss(HashingLoss):
    r"""DCMH with memories F (image) and G (text) of all training items.

    .. math:: -\sum_{ij} \left[ S_{ij}\theta_{ij} - \log(1 + e^{\theta_{ij}}) \right]
              + \gamma (\|B - F\|^2 + \|B - G\|^2) + \eta (\|F 1\|^2 + \|G 1\|^2),
              \quad \theta_{ij} = \tfrac12 f_i^\top g_j

    The paper alternates epochs of the image network, epochs of the text network and ``B = sign(F + G)``. Here both
    networks, which share no weights, step on every batch, each against the other's memory; B is updated once per
    epoch as in the paper. All terms are divided by N. Codes are those of a tanh, which the paper lacks.

    Args:
        gamma: weight of the quantisation (1 in the paper).
        eta: weight of the balance of the bits (1 in the paper).
    """

    image_memory: CodeMemory
    text_memory: CodeMemory
    codes: Tensor

    def __init__(self, gamma: float = 1.0, eta: float = 1.0) -> None:
        super().__init__()
        self.gamma, self.eta = gamma, eta

    def setup(self, facts: TrainingFacts) -> None:
        """Create the memories F and G, and B, which is +1 until the first epoch has ended."""
        self.image_memory = CodeMemory(facts.labels, facts.num_bits)
        self.text_memory = CodeMemory(facts.labels, facts.num_bits)
        self.register_buffer("codes", torch.zeros(len(facts.labels), facts.num_bits))
        self.end_epoch()

    def end_epoch(self) -> None:
        """Update ``B = sign(F + G)``."""
        self.codes.copy_(binarize(self.image_memory.codes + self.text_memory.codes))

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; needs image and text codes."""
        f, g = codes["image"].float(), codes["text"].float()
        self.image_memory.write(batch.index, f)
        self.text_memory.write(batch.index, g)
        with torch.no_grad():
            similarity = share_a_class(batch.label, self.image_memory.labels)
        values = self._one_network(f, self.image_memory, self.text_memory, similarity, batch.index)
        return values + self._one_network(g, self.text_memory, self.image_memory, similarity, batch.index)

    def _one_network(
        self, own: Tensor, memory: CodeMemory, other: CodeMemory, similarity: Tensor, index: Tensor
    ) -> Tensor:
        count = len(memory.codes)
        quantisation = (self.codes[index] - own).square().sum(dim=1)
        balanced = balance(own, memory.codes, index) / len(own)
        return dpsh_likelihood(own, other.codes, similarity) + (self.gamma * quantisation + self.eta * balanced) / count
