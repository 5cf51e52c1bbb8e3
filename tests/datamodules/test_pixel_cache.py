"""The cache of resized pictures: same pixels, decoded once, safe against torn writes and other files."""

import copy

import numpy as np
import pytest
import torch

from datamodules.pixel_cache import PixelCache
from datamodules.source import DataError


class Maker:
    """Makes a picture by its row and counts the calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, row):
        self.calls.append(row)
        return torch.full((3, 4, 4), row, dtype=torch.uint8)


def test_a_picture_is_made_once(tmp_path):
    cache, make = PixelCache(tmp_path / "new" / "pixels.npy", 5, 4), Maker()
    for row in (3, 0, 3, 0):
        assert torch.equal(cache(row, make), torch.full((3, 4, 4), row, dtype=torch.uint8))
    assert make.calls == [3, 0]


def test_a_later_run_and_a_worker_find_it(tmp_path):
    first = PixelCache(tmp_path / "pixels.npy", 5, 4)
    first(2, Maker())
    make = Maker()
    for cache in (PixelCache(tmp_path / "pixels.npy", 5, 4), copy.copy(first)):  # as a worker gets it
        assert int(cache(2, make)[0, 0, 0]) == 2
    assert make.calls == []


def test_a_half_written_picture_is_made_anew(tmp_path):
    cache, make = PixelCache(tmp_path / "pixels.npy", 5, 4), Maker()
    cache(4, make)
    np.lib.format.open_memmap(tmp_path / "pixels.npy", mode="r+")[4, 1, 2] = 99
    assert torch.equal(cache(4, make), torch.full((3, 4, 4), 4, dtype=torch.uint8))
    assert make.calls == [4, 4]


def test_what_is_returned_is_no_view_of_the_file(tmp_path):
    cache, make = PixelCache(tmp_path / "pixels.npy", 5, 4), Maker()
    cache(1, make)
    cache(1, make).fill_(77)
    assert int(cache(1, make)[0, 0, 0]) == 1


def test_a_file_of_another_size_is_refused(tmp_path):
    PixelCache(tmp_path / "pixels.npy", 5, 4)
    with pytest.raises(DataError, match=r"pixels.npy: .*holds uint8 \(5, 3, 4, 4\), expected uint8 \(6, 3, 4, 4\)"):
        PixelCache(tmp_path / "pixels.npy", 6, 4)


def test_more_than_the_disk_holds_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"needs .* GB, .* GB are free.*pixels.cache"):
        PixelCache(tmp_path / "pixels.npy", 10**9, 224)
    assert not (tmp_path / "pixels.npy").exists()
