"""Input diversity: an attack sees the picture smaller and shifted, so that it fits other networks as well."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def diversify(images: Tensor, draws: Tensor, probability: float = 0.5, smallest: float = 0.9) -> Tensor:
    """Shrink images at random and put each at a random place on black (Xie et al., CVPR 2019).

    Bilinear without antialiasing, as there; differentiable, one call for all images of a batch.

    Args:
        images: ``(B, 3, H, W)``.
        draws: ``(B, 4)`` in [0, 1), fresh: whether, how much, from the top, from the left.
        probability: that an image is changed.
        smallest: least side of the small image, as a share of the side.

    Returns:
        ``(B, 3, H, W)``.
    """
    chosen, size, top, left = draws.to(images).unbind(dim=1)
    scale = smallest + (1 - smallest) * size
    down, vertical = _coordinates(images.shape[2], scale, top)
    across, horizontal = _coordinates(images.shape[3], scale, left)
    grid = torch.stack(
        [across[:, None, :].expand(-1, images.shape[2], -1), down[:, :, None].expand(-1, -1, images.shape[3])], dim=-1
    )
    small = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (vertical[:, None, :, None] & horizontal[:, None, None, :]).to(images)
    return torch.where((chosen < probability)[:, None, None, None], small * inside, images)


def _coordinates(side: int, scale: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return, along one side, where each pixel comes from in [-1, 1], and whether it lies in the small image."""
    length = (side * scale).floor().clamp_min(1)
    first = (place * (side - length + 1)).floor()
    pixels = torch.arange(side, device=scale.device) - first[:, None]
    inside = (pixels >= 0) & (pixels < length[:, None])
    return 2 * (pixels + 0.5) / length[:, None] - 1, inside
