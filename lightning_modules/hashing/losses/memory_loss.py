"""MemoryLoss: compares the codes of a batch with the latest codes of all training items."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.memory import CodeMemory
from lightning_modules.types import Batch


class MemoryLoss(HashingLoss):
    """A pairwise loss of current codes against a code memory, as in the attack literature's reference code.

    The current codes are written to the memory before the loss is taken; items that were not seen yet are zero.
    """

    memory: CodeMemory

    def setup(self, facts: TrainingFacts) -> None:
        """Create the memory U."""
        self.memory = CodeMemory(facts.labels, facts.num_bits)

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; uses the image codes."""
        u = codes["image"].float()
        self.memory.write(batch.index, u)
        return self.pairwise(u, batch.label)

    @abstractmethod
    def pairwise(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Compare codes with the memory.

        Args:
            codes: u, float32 ``(b, K)`` in (-1, 1).
            labels: their labels, uint8 ``(b, C)``.

        Returns:
            float32 ``(b,)``, one value per sample.
        """
