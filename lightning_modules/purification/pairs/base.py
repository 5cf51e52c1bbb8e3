"""PairSource: an adversarial image for every training image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from lightning_modules.configurable import Configurable
from lightning_modules.randomness import sample_uniforms
from lightning_modules.types import Batch


class PairSource(Configurable, ABC):
    """Gives adversarial versions of training images; some images stay clean, so that the purifier keeps them too.

    What is drawn for an image depends on (seed, epoch, sample id) only.

    Args:
        clean_share: probability that an image stays clean in an epoch.
        seed: seed of every choice.

    Raises:
        ValueError: a share outside [0, 1].
    """

    def __init__(self, clean_share: float = 0.5, seed: int = 0) -> None:
        if not 0 <= clean_share <= 1:
            raise ValueError(f"clean_share={clean_share}: expected a probability in [0, 1]")
        self.clean_share, self.seed = clean_share, seed

    @abstractmethod
    def setup(self, data: Any, device: torch.device) -> None:
        """Open what is needed, and check that it belongs to the training split of this data module.

        Args:
            data: the data module, set up.
            device: where to compute.

        Raises:
            ValueError: it does not, or is missing.
        """

    @abstractmethod
    def attacked(self, batch: Batch, choice: Tensor, epoch: int) -> Tensor:
        """Return adversarial versions of all images of a batch.

        Args:
            batch: items of the training split.
            choice: float64 ``(B,)`` in [0, 1), chooses among several attacks.
            epoch: number of the pass over the data.

        Returns:
            float ``(B, 3, H, W)`` in [0, 1], whole multiples of 1/255.
        """

    def __call__(self, batch: Batch, epoch: int) -> Tensor:
        """Return the adversarial images of a batch, float ``(B, 3, H, W)`` in [0, 1]; clean where so drawn."""
        share, choice = sample_uniforms(self.seed, f"pairs/{epoch}", batch.ids, 2).unbind(1)
        rows = (share >= self.clean_share).nonzero().flatten()
        images = batch.image.clone()
        if len(rows):
            with torch.autocast(batch.image.device.type, enabled=False):  # an attack chooses its own precision
                attacked = self.attacked(batch.part(rows.tolist()), choice[rows], epoch)
                images[rows.to(images.device)] = attacked.to(images)
        return images
