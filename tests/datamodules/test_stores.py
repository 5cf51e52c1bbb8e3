"""Pictures from folders, archives and arrays: the right one, in every process, or a message that names it."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.source import DataError
from datamodules.stores import PictureStore


@pytest.fixture
def store(tmp_path, encode):
    """Three pictures of grey 10, 20, 30 in a folder, in an archive and in an array."""
    (tmp_path / "images").mkdir()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for grey in (10, 20, 30):
            data = encode(Image.new("RGB", (7, 5), (grey, grey + 1, grey + 2)))
            (tmp_path / "images" / f"im{grey}.png").write_bytes(data)
            archive.writestr(f"inner/im{grey}.png", data)
    pixels = np.empty((3, 3, 5, 7), np.uint8)
    pixels[:] = np.array([10, 20, 30])[:, None, None, None] + np.arange(3)[:, None, None]
    np.save(tmp_path / "pixels.npy", pixels)
    return PictureStore(tmp_path)


PLACES = ("images/im{}.png", "set.zip/inner/im{}.png", "pixels.npy#{}")


def names(place):
    return [place.format(value) for value in ((0, 1, 2) if "#" in place else (10, 20, 30))]


@pytest.mark.parametrize("place", PLACES)
def test_every_place_gives_the_same_pixels(store, place):
    for name, grey in zip(names(place), (10, 20, 30), strict=True):
        picture = store.read(name)
        assert picture.dtype == torch.uint8
        assert picture.shape == (3, 5, 7)
        assert picture[:, 0, 0].tolist() == [grey, grey + 1, grey + 2]


def test_an_open_store_travels_without_its_handles(store):
    before = [store.read(names(place)[1]) for place in PLACES]
    assert store._archives
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - what a loader does
    assert not copy._archives
    assert not copy._arrays
    assert all(torch.equal(a, copy.read(names(place)[1])) for a, place in zip(before, PLACES, strict=True))


def test_a_picture_is_no_view_of_the_array(store):
    store.read("pixels.npy#1").fill_(0)
    assert store.read("pixels.npy#1").max() == 22


def test_missing_ones_are_found_without_decoding(store, tmp_path):
    (tmp_path / "images" / "broken.png").write_bytes(b"no picture")
    paths = [
        *("images/im10.png", "images/im11.png", "images/broken.png", "none/im10.png"),
        *("set.zip/inner/im20.png", "set.zip/im20.png", "other.zip/im20.png"),
        *("pixels.npy#2", "pixels.npy#3", "others.npy#0"),
    ]
    assert store.missing(paths) == [1, 3, 5, 6, 8, 9]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("images/im11.png", r"im11\.png: cannot be read \(No such file"),
        ("set.zip/inner/im11.png", r"im11\.png: cannot be read"),
        ("other.zip/im11.png", r"other\.zip: cannot be opened"),
        ("others.npy#1", r"others\.npy: not a NumPy array"),
        ("flat.npy#1", r"flat\.npy: float64 \(4,\), expected uint8 pixels"),
        ("set.npy#0", r"set\.npy: not a NumPy array"),
    ],
)
def test_what_cannot_be_read_is_named(store, tmp_path, path, message):
    np.save(tmp_path / "flat.npy", np.zeros(4))
    (tmp_path / "set.npy").write_bytes((tmp_path / "set.zip").read_bytes())
    with pytest.raises(DataError, match=message):
        store.read(path)
