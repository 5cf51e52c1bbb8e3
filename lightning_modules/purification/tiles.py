"""Pictures of any size as tiles of few sizes: padded by reflection where small, cut with overlap where large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.purification.sizing import reflect, tile_starts


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


def _ramp(length: int) -> Tensor:
    return torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1)).float()
