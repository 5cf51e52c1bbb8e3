"""HashingLoss: what a hashing method adds to the common module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from lightning_modules.configurable import Configurable
from lightning_modules.types import Batch


@dataclass(frozen=True)
class TrainingFacts:
    """What a loss may know of the training split before the first step.

    Attributes:
        labels: uint8 ``(N, C)`` multi-hot labels, in split order (``Batch.index`` points into them).
        num_bits: code length K.
    """

    labels: Tensor
    num_bits: int


class HashingLoss(nn.Module, Configurable, ABC):
    """Loss of one hashing method; may own parameters, memories or class centres.

    A loss that needs to know the training split creates its buffers and parameters in :meth:`setup`, which
    runs before the optimiser is made and before a checkpoint is loaded.
    """

    def setup(self, facts: TrainingFacts) -> None:
        """Create what depends on the training split; called once for a training split."""

    def alpha(self, step: int) -> float:
        """Slope of the tanh at an optimiser step: the continuation of HashNet; 1 for all others."""
        del step
        return 1.0

    @abstractmethod
    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Compute the loss of every sample.

        Args:
            codes: continuous codes ``(B, K)`` in (-1, 1), one entry per modality (``image``, ``text``).
            batch: labels, positions and ids of the same samples.

        Returns:
            float ``(B,)``; the module takes the mean.
        """
