"""Median filter (feature squeezing: Xu, Evans & Qi, 2018, arXiv 1704.01155, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from lightning_modules.defences.base import Defence


class MedianFilter(Defence):
    """Median of each pixel's square neighbourhood, per channel, with reflected borders.

    Args:
        size: side of the neighbourhood in pixels, odd.

    Raises:
        ValueError: ``size`` is even or not positive.
    """

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(f"size={size}: expected an odd positive number of pixels")
        self.size = size

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Filter images float ``(B, 3, H, W)`` in [0, 1]."""
        del ids, draw
        padded = F.pad(images, [self.size // 2] * 4, mode="reflect")
        windows = padded.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows.flatten(-2).median(dim=-1).values
