"""AdversarialTraining: what a strategy of adversarial training adds to the hashing loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lightning_modules.configurable import Configurable
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.losses.base import TrainingFacts
from lightning_modules.hashing.memory import CodeMemory
from lightning_modules.types import Batch


class AdversarialTraining(nn.Module, Configurable, ABC):
    """A second term of the training objective, on adversarial pictures that are crafted in every step.

    The module computes the codes of all training items with the current network at the start of every epoch, and
    the strategy replaces those of a batch by the latest ones.

    Args:
        seed: of all that is drawn while crafting; draws depend on seed, epoch and sample id only.
    """

    memory: CodeMemory

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed, self.epoch = seed, 0

    def setup(self, facts: TrainingFacts) -> None:
        """Create what depends on the training split."""
        self.memory = CodeMemory(facts.labels, facts.num_bits)

    def stream(self, purpose: str) -> str:
        """Name a stream of random numbers that is new in every epoch."""
        return f"adversarial training, {purpose}, epoch {self.epoch}"

    @abstractmethod
    def forward(self, encoder: HashEncoder, batch: Batch, codes: Tensor) -> Tensor:
        """Craft adversarial pictures and compute the loss of each; see the strategies for what is minimised.

        Args:
            encoder: the network in training.
            batch: clean pictures, as the hashing loss saw them.
            codes: their codes float32 ``(B, K)`` in (-1, 1); enter the memory without gradient.

        Returns:
            float32 ``(B,)``; the module adds the mean to the hashing loss.
        """


@torch.no_grad()
def remember(memory: CodeMemory, encoder: HashEncoder, batch: Batch) -> None:
    """Write the codes of a batch as the network gives them outside of training."""
    training = encoder.training
    memory.write(batch.index, encoder.eval()(batch.image))
    encoder.train(training)
