"""A folder of pictures of any size: all of them, in path order, without labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import DataError, FolderDataModule, Loading, Pixels
from datamodules.folder import SUFFIXES, FolderSource


@pytest.fixture
def folder(encode, tmp_path):
    root = tmp_path / "album"
    for number, (name, size) in enumerate(
        {"b.png": (9, 9), "a/z.JPG": (20, 10), "a/b/c.bmp": (10, 30), "B.webp": (8, 8), "a.png": (8, 8)}.items()
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP"}[path.suffix.lower()]
        path.write_bytes(encode(Image.new("RGB", size, (number * 40,) * 3), kind))
    (root / "notes.txt").write_text("no picture")
    (root / "folder.png").mkdir()
    return root


ORDER = ("B.webp", "a.png", "a/b/c.bmp", "a/z.JPG", "b.png")
GREYS = [120, 160, 80, 40, 0]


def test_all_pictures_in_path_order(folder):
    source = FolderSource(folder)
    assert source.ids == ORDER
    assert source.name == "album"
    assert source.labels.shape == (5, 0)
    assert source.query_pool.tolist() == [0, 1, 2, 3, 4]
    assert [tuple(source.image(row).shape) for row in range(5)] == [
        *((3, 8, 8), (3, 8, 8), (3, 30, 10), (3, 10, 20), (3, 9, 9)),
    ]
    assert source.caption(0) is None


@pytest.mark.parametrize("workers", [0, 2])
def test_batches(folder, workers):
    module = FolderDataModule(str(folder), Pixels(8), Loading(2, workers))
    batches = list(module.predict_dataloader())
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert sum((batch.ids for batch in batches), ()) == ORDER
    assert torch.cat([batch.index for batch in batches]).tolist() == [0, 1, 2, 3, 4]
    images = torch.cat([batch.to("cpu").image for batch in batches])
    assert images.shape == (5, 3, 8, 8)
    assert images.dtype == torch.float32
    assert np.abs(images.mean((1, 2, 3)).numpy() * 255 - GREYS).max() <= 2  # JPEG and WebP
    assert all(batch.label.shape == (len(batch), 0) for batch in batches)
    assert all(batch.captions is None for batch in batches)


def test_resize_options_are_used(encode, tmp_path):
    halves = np.zeros((10, 40, 3), np.uint8)
    halves[:, 20:] = 200
    halves[:, :8] = 100
    (tmp_path / "wide.png").write_bytes(encode(halves))
    for options, left in (({"mode": "squash"}, 100), ({}, 0)):
        loader = FolderDataModule(str(tmp_path), Pixels(10, **options)).predict_dataloader()
        assert round(next(iter(loader)).image[0, 0, 5, 0].item()) == left
    loader = FolderDataModule(str(tmp_path), Pixels(10, 20)).predict_dataloader()
    assert next(iter(loader)).image.shape == (1, 3, 10, 10)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError) as caught:
        FolderDataModule(str(tmp_path / "none")).predict_dataloader()
    assert str(caught.value) == f"{tmp_path / 'none'}: no such folder"


def test_a_folder_without_pictures_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError) as caught:
        FolderSource(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no pictures found ({', '.join(sorted(SUFFIXES))})"


def test_a_damaged_file_is_named(folder):
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:50])
    module = FolderDataModule(str(folder), Pixels(8))
    with pytest.raises(DataError, match=r"album/a\.png: not a readable picture"):
        list(module.predict_dataloader())


def test_impossible_sizes_are_refused_at_once(folder):
    with pytest.raises(DataError, match="resize_to=4 is below"):
        FolderDataModule(str(folder), Pixels(8, 4))
