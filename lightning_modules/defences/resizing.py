"""Resizing alone: what a purifier does before its first step, when its network has another size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchvision.transforms.v2 import functional as vF

from lightning_modules.defences.base import Defence


class Resizing(Defence):
    """Bilinear to another size and back.

    Args:
        scale: of the sides; 8/7 is 224 -> 256 -> 224, GDMP's.
        antialias: smooth before shrinking; GDMP's code does not.

    Raises:
        ValueError: ``scale`` is not positive.
    """

    def __init__(self, scale: float = 8 / 7, antialias: bool = True) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale={scale}: expected a positive number")
        self.scale, self.antialias = scale, antialias

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Resize images float ``(B, 3, H, W)`` in [0, 1] there and back."""
        del ids, draw
        size = list(images.shape[-2:])
        there = [max(1, round(side * self.scale)) for side in size]
        return vF.resize(vF.resize(images, there, antialias=self.antialias), size, antialias=self.antialias)
