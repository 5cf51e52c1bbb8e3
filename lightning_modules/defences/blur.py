"""Gaussian blur: the control that any purifier has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchvision.transforms.v2 import functional as vF

from lightning_modules.defences.base import Defence


class GaussianBlur(Defence):
    """Gaussian blur with reflected borders.

    Args:
        sigma: standard deviation in pixels.

    Raises:
        ValueError: ``sigma`` is not positive.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        if sigma <= 0:
            raise ValueError(f"sigma={sigma}: expected a positive number of pixels")
        self.sigma = sigma

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Blur images float ``(B, 3, H, W)`` in [0, 1]."""
        del ids, draw
        size = 2 * max(1, round(3 * self.sigma)) + 1  # three deviations either side
        return vF.gaussian_blur(images, [size, size], [self.sigma, self.sigma])
