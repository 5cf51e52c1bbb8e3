"""Images of another size than the network's: resized, padded by reflection, or as they are; tiles are in ``tiles``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as vF

Sizing = Literal["native", "resize", "resize_aliased", "pad", "tile"]


def fit(images: Tensor, sizing: Sizing, side: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Bring images to the size of a network.

    Args:
        images: float ``(B, C, H, W)``.
        sizing: ``resize`` scales the shorter side to ``side``, bilinear with antialiasing; ``resize_aliased`` does it
            without, as GDMP's code; ``pad`` reflects smaller images to ``side`` in the middle. ``native`` and ``tile``
            change nothing: the network runs at the images' size, or in tiles.
        side: of the pictures that the network was trained on, in pixels.

    Returns:
        the images at that size, and a function that brings such images back to ``(H, W)``.
    """
    height, width = images.shape[-2:]
    match sizing:
        case "resize" | "resize_aliased":
            antialias, scale = sizing == "resize", side / min(height, width)
            size = [round(height * scale), round(width * scale)]
            resized = vF.resize(images, size, antialias=antialias)
            return resized, lambda changed: vF.resize(changed, [height, width], antialias=antialias)
        case "pad":
            top, left = max(0, side - height) // 2, max(0, side - width) // 2
            padded = reflect(images, max(side, height), max(side, width), top, left)
            return padded, lambda changed: changed[..., top : top + height, left : left + width]
        case "native" | "tile":
            return images, lambda changed: changed


def reflect(images: Tensor, height: int, width: int, top: int = 0, left: int = 0) -> Tensor:
    """Pad images ``(..., H, W)`` to ``(..., height, width)`` by reflection, however far; the edge is not repeated.

    Args:
        images: float.
        height: at least H.
        width: at least W.
        top: rows of the padding above.
        left: columns of the padding to the left.
    """
    for dim, size, before in ((-2, height, top), (-1, width, left)):
        if size != images.shape[dim]:
            images = images.index_select(dim, _reflected(images.shape[dim], size, before, images.device))
    return images


def _reflected(count: int, size: int, before: int, device: torch.device) -> Tensor:
    """Positions ``-before, ...`` of a line of ``count`` pixels that is mirrored at both ends for ever."""
    period = max(1, 2 * (count - 1))
    place = (torch.arange(size, device=device) - before) % period
    return torch.minimum(place, period - place) if count > 1 else torch.zeros_like(place)
