"""Tiles: large pictures in overlapping squares, blended again.

:class:`Tiling` and :class:`Blend` are for pictures whose tiles are purified one by one, each to its end;
:func:`tiled` runs a single call of a network on tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.purification.sizing import reflect

Network = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut; a function of a picture's size alone, never of what else is cleaned.

    Attributes:
        side: largest side of a tile in pixels; neighbours overlap by a quarter of it at least.
        multiple: sides of smaller pictures are padded to whole multiples of it, so that few sizes come up.

    Raises:
        ValueError: ``side`` is no positive multiple of ``multiple``.
    """

    side: int = 256
    multiple: int = 32

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.side < self.multiple or self.side % self.multiple:
            raise ValueError(f"tile={self.side}: expected a positive multiple of multiple={self.multiple}")

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of every tile of a picture of this size."""
        rows, columns = (min(self.side, length + -length % self.multiple) for length in (height, width))
        return rows, columns

    def corners(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the top left corners of the tiles of a picture of this size."""
        rows, columns = self.shape(height, width)
        return [(top, left) for top in tile_starts(height, rows) for left in tile_starts(width, columns)]

    def cut(self, image: Tensor) -> Iterator[Tensor]:
        """Yield the tiles ``(C, *shape)`` of a picture ``(C, H, W)``, in the order of :meth:`corners`."""
        height, width = image.shape[-2:]
        rows, columns = self.shape(height, width)
        padded = reflect(image, max(rows, height), max(columns, width))
        for top, left in self.corners(height, width):
            yield padded[:, top : top + rows, left : left + columns]


class Blend:
    """Puts the tiles of one picture together; where they overlap, the one whose middle is nearer counts more.

    Args:
        tiling: how it was cut.
        height: of the picture.
        width: of the picture.
    """

    def __init__(self, tiling: Tiling, height: int, width: int) -> None:
        self._size, self._shape = (height, width), tiling.shape(height, width)
        self._left = tiling.corners(height, width)
        self._window = _ramp(self._shape[0])[:, None] * _ramp(self._shape[1])
        rows, columns = max(height, self._shape[0]), max(width, self._shape[1])
        self._total, self._weight = torch.zeros(3, rows, columns), torch.zeros(rows, columns)

    def add(self, tile: Tensor) -> bool:
        """Add the next tile, float ``(3, *shape)``; returns whether the picture is complete."""
        top, left = self._left.pop(0)
        place = (..., slice(top, top + self._shape[0]), slice(left, left + self._shape[1]))
        self._total[place] += tile.cpu() * self._window
        self._weight[place] += self._window
        return not self._left

    def picture(self) -> Tensor:
        """Return the picture, float ``(3, H, W)``."""
        height, width = self._size
        return (self._total / self._weight)[:, :height, :width]


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
    window = (_ramp(side)[:, None] * _ramp(side)).to(x)
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


def _ramp(length: int) -> Tensor:
    return torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).float()
