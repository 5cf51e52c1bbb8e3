"""What attacks draw while they craft."""

from __future__ import annotations

from torch import Tensor

from lightning_modules.randomness import SampleNoise, content_ids
from lightning_modules.types import AttackGoal


def noise_of(goal: AttackGoal, images: Tensor, purpose: str) -> SampleNoise:
    """Return one stream of noise per query, the same in whatever batch it is attacked.

    Args:
        goal: gives seed and ids; without ids a digest of each image names it.
        images: float ``(B, 3, H, W)`` in [0, 1].
        purpose: separates streams.
    """
    return SampleNoise(goal.seed, purpose, goal.ids or content_ids(images))
