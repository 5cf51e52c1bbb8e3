"""Checks of what users hand in: one clear error before any work starts."""

from __future__ import annotations

import torch
from torch import Tensor


def check_images(images: Tensor) -> None:
    """Check that a tensor is a batch of pictures as the whole suite understands them.

    Args:
        images: must be floating point ``(B, 3, H, W)``, finite, in [0, 1] (up to rounding).

    Raises:
        ValueError: naming the property that is wrong, what was found and what is expected.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images have shape {tuple(images.shape)}, expected (B, 3, H, W)")
    if not images.is_floating_point():
        raise ValueError(f"images have dtype {images.dtype}, expected float in [0, 1]; divide uint8 by 255")
    if images.numel() == 0:
        return
    low, high = images.detach().aminmax()
    if not (low.isfinite() and high.isfinite()):
        raise ValueError("images hold NaN or infinite values")
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(f"images lie in [{low:.3g}, {high:.3g}], expected [0, 1]; normalisation is the encoder's")


def round_to_8bit(images: Tensor) -> Tensor:
    """Round images in [0, 1] to uint8, as they are stored; ``/ 255`` gives what is scored.

    Args:
        images: float of any shape in [0, 1].

    Returns:
        uint8 of the same shape.
    """
    return images.detach().mul(255).round_().clamp_(0, 255).to(torch.uint8)


def check_positive(**options: float | None) -> None:
    """Check that options are positive numbers; None, an option that is not used, passes.

    Raises:
        ValueError: naming the first one that is not; NaN is not.
    """
    for name, value in options.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name}={value}: expected a positive number")
