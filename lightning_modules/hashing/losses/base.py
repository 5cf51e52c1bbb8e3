"""HashingLoss: what a hashing method adds to the common module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lightning_modules.configurable import Configurable
from lightning_modules.types import Batch


@dataclass(frozen=True)
class TrainingFacts:
    """What a loss may know of the training split before the first step.

    Attributes:
        labels: uint8 ``(N, C)`` multi-hot labels, in split order (``Batch.index`` points into them).
        num_bits: code length K.
        widths: width D of the backbones' features, by modality.
        inputs: by modality, functions that read what the trained layers see of all items, float32 ``(N, D)``: the
            features of a frozen image extractor, and text features. Empty while a checkpoint is loaded.
    """

    labels: Tensor
    num_bits: int
    widths: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, Callable[[], Tensor]] = field(default_factory=dict)


class HashingLoss(nn.Module, Configurable, ABC):
    """Loss of one hashing method; may own parameters, memories or class centres.

    A loss that needs to know the training split creates its buffers and parameters in :meth:`setup`, which
    runs before the optimiser is made and before a checkpoint is loaded.
    """

    def setup(self, facts: TrainingFacts) -> None:
        """Create what depends on the training split; called once for a training split."""

    def prepare(self, facts: TrainingFacts) -> None:
        """Compute what a checkpoint does not hold; called at the start of every fit, on the training device."""

    def end_epoch(self) -> None:
        """Update what changes once per epoch; called after the last batch."""

    def views(self, images: Tensor) -> Sequence[Tensor]:
        """Return the pictures to encode for one batch: itself, or several augmented views of it.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1].

        Returns:
            V tensors of that kind.
        """
        return (images,)

    def relax(self, logits: Tensor, step: int) -> Tensor:
        """Map the hashing layer's output to the continuous codes that the loss sees: tanh, unless overridden.

        Args:
            logits: float ``(B, K)``, before the tanh.
            step: the optimiser step, for a continuation as in HashNet.
        """
        del step
        return torch.tanh(logits)

    @abstractmethod
    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Compute the loss of every sample.

        Args:
            codes: what :meth:`relax` made of each modality (``image``, ``text``): by default continuous codes
                ``(B, K)`` in (-1, 1); ``(V, B, K)`` where :meth:`views` gives several.
            batch: labels, positions and ids of the same samples.

        Returns:
            float ``(B,)``; the module takes the mean.
        """
