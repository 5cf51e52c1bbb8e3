"""Images of another size than the network's: resized, padded by reflection, in tiles, or as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as vF

Sizing = Literal["native", "resize", "resize_aliased", "pad", "tile"]
Network = Callable[[Tensor, Tensor], Tensor]


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


def tiled(network: Network, x: Tensor, timesteps: Tensor, side: int) -> Tensor:
    """Run a network on overlapping square tiles and blend what it says.

    Tiles lie evenly, each at least a quarter of its side over the next; where they overlap, the one whose middle is
    nearer counts more. Images smaller than a tile are reflected to its size.

    Args:
        network: from ``(B, C, side, side)`` and timesteps to ``(B, C', side, side)``.
        x: float ``(B, C, H, W)``.
        timesteps: int64 ``(B,)``.
        side: of a tile, in pixels.

    Returns:
        float ``(B, C', H, W)``.
    """
    height, width = x.shape[-2:]
    padded = reflect(x, max(side, height), max(side, width))
    window = torch.minimum(torch.arange(1, side + 1), torch.arange(side, 0, -1)).to(x)
    window = window[:, None] * window
    pieces, weight = [], torch.zeros(padded.shape[-2:], dtype=x.dtype, device=x.device)
    for top in tile_starts(padded.shape[-2], side):
        for left in tile_starts(padded.shape[-1], side):
            rows, columns = slice(top, top + side), slice(left, left + side)
            pieces.append((network(padded[..., rows, columns], timesteps), rows, columns))
            weight[rows, columns] += window
    first = pieces[0][0]
    total = first.new_zeros(*first.shape[:2], *padded.shape[-2:])
    for output, rows, columns in pieces:
        total[..., rows, columns] += output * window
    return (total / weight)[..., :height, :width]


def tile_starts(length: int, side: int) -> list[int]:
    """Where tiles begin along a line: as few as overlap by a quarter at least, evenly spread."""
    count = 1 if length <= side else -(-(length - side) // (side - side // 4)) + 1
    return [round(i * (length - side) / max(1, count - 1)) for i in range(count)]
