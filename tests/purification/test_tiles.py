"""Tiles: every pixel is covered, what is put together is the picture, and a picture decides alone how it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from lightning_modules.purification.tiles import Blend, Tiling, tiled

SIZES = [(1, 1), (17, 17), (32, 32), (33, 64), (64, 65), (20, 300), (300, 20), (130, 257), (200, 200)]


def picture(height, width):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(height * 1000 + width))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_unchanged_tiles_give_the_picture(height, width):
    tiling, image = Tiling(64, 32), picture(height, width)
    tiles, blend = list(tiling.cut(image)), Blend(tiling, height, width)
    assert {tuple(tile.shape) for tile in tiles} == {(3, *tiling.shape(height, width))}
    complete = [blend.add(tile) for tile in tiles]
    assert complete == [False] * (len(tiles) - 1) + [True]
    torch.testing.assert_close(blend.picture(), image, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "shape", "count"), [((17, 40), (32, 64), 1), ((64, 64), (64, 64), 1), ((65, 112), (64, 64), 4)]
)
def test_small_pictures_are_padded_and_large_ones_cut(size, shape, count):
    tiling = Tiling(64, 32)
    assert tiling.shape(*size) == shape
    assert len(tiling.corners(*size)) == count


def test_tiles_overlap_by_a_quarter():
    tops = sorted({top for top, _ in Tiling(64, 32).corners(1000, 64)})
    assert tops[0] == 0
    assert tops[-1] == 1000 - 64
    assert all(0 < after - before <= 48 for before, after in pairwise(tops))


def test_an_overlap_fades_from_tile_to_tile():
    """Constant tiles of 0 and 1: the seam is a ramp without a jump."""
    tiling = Tiling(64, 32)
    blend = Blend(tiling, 64, 112)
    assert tiling.corners(64, 112) == [(0, 0), (0, 48)]
    blend.add(torch.zeros(3, 64, 64))
    blend.add(torch.ones(3, 64, 64))
    row = blend.picture()[0, 30]
    assert bool((row[:48] == 0).all())
    assert bool((row[64:] == 1).all())
    steps = row[47:65].diff()
    assert bool((steps >= 0).all())
    assert steps.max() < 0.1


def test_impossible_tiles_are_refused():
    with pytest.raises(ValueError, match="tile=48: expected a positive multiple of multiple=32"):
        Tiling(48, 32)


# A network on tiles


@pytest.mark.parametrize("size", [(16, 16), (40, 17), (16, 100), (9, 30)])
def test_tiles_change_nothing_of_what_looks_at_single_pixels(size):
    layer = nn.Conv2d(3, 6, 1).requires_grad_(False)
    x, t = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 3])
    seen = []

    def network(tile, timesteps):
        seen.append(tile.shape[-2:])
        assert torch.equal(timesteps, t)
        return layer(tile)

    torch.testing.assert_close(tiled(network, x, t, 16), layer(x), rtol=1e-5, atol=1e-6)
    assert set(seen) == {(16, 16)}


def test_tiles_are_blended_by_their_distance_from_the_border():
    # Two tiles of 8 over a line of 12: the second begins at 4. Each says its own number.
    x, numbers = torch.zeros(1, 3, 8, 12), iter([1.0, 2.0])
    blended = tiled(lambda tile, t: torch.full_like(tile, next(numbers)), x, torch.tensor([0]), 8)
    ramp = [1, 2, 3, 4, 4, 3, 2, 1]
    expected = [1.0] * 4 + [(ramp[4 + i] + 2 * ramp[i]) / (ramp[4 + i] + ramp[i]) for i in range(4)] + [2.0] * 4
    torch.testing.assert_close(blended, torch.tensor(expected).expand(1, 3, 8, 12))
