"""Gaussian noise: what of a purifier is the noise alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lightning_modules.defences.base import Defence
from lightning_modules.randomness import SampleNoise, content_ids


class GaussianNoise(Defence):
    """Adds normal noise and clips to [0, 1].

    Args:
        deviation: S of the noise, in [0, 1] units. Diffusion to t corresponds to ``S = sqrt((1 - A_t) / A_t) / 2``
            (Carlini et al., 2022, arXiv 2206.10550): 0.078 for t = 45 of the linear schedule, 0.25 for t = 146.
        seed: seed of the noise.

    Raises:
        ValueError: ``deviation`` is negative.
    """

    def __init__(self, deviation: float = 0.078, seed: int = 0) -> None:
        super().__init__()
        if not deviation >= 0:
            raise ValueError(f"deviation={deviation}: expected 0 or more")
        self.deviation, self.seed = deviation, seed

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Add noise of sample and draw to images float ``(B, 3, H, W)`` in [0, 1]."""
        names = content_ids(images) if ids is None else ids
        return (images + self.deviation * SampleNoise(self.seed, f"noise/{draw}", names)(images)).clamp(0, 1)
