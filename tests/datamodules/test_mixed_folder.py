"""A folder of pictures of all sizes: groups, names of results, orientation, and what is done already."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from datamodules import DataError, MixedFolderDataModule
from datamodules.mixed_folder import result_names


def colours(width, height, seed=0):
    values = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "album"
    (root / "more").mkdir(parents=True)
    for number, size in enumerate([(20, 10), (21, 10), (400, 300), (8, 8)]):
        colours(*size, number).save(root / f"{number}.png")
    colours(9, 30).save(root / "more/a.JPG", format="JPEG")
    (root / "broken.png").write_bytes((root / "2.png").read_bytes()[:200])
    (root / "text.jpg").write_text("no picture")
    return root


def opened(root, **options):
    module = MixedFolderDataModule(str(root), **options)
    module.setup("predict")
    return module


@pytest.mark.parametrize(("group", "workers"), [(16, 0), (3, 2)])
def test_every_picture_comes_once_at_its_size(folder, group, workers):
    module = opened(folder, group=group, num_workers=workers)
    groups = list(module.predict_dataloader())
    found = {one.sample_id: one for pictures in groups for one in pictures}
    assert max(map(len, groups)) <= group
    assert sum(map(len, groups)) == len(found) == module.num_pictures == 7
    for number, (width, height) in enumerate([(20, 10), (21, 10), (400, 300), (8, 8)]):
        expected = torch.from_numpy(np.array(colours(width, height, number))).permute(2, 0, 1)
        assert torch.equal(found[f"{number}.png"].image, expected)
    assert found["more/a.JPG"].target == "more/a.png"
    for name in ("broken.png", "text.jpg"):
        assert found[name].image is None
        assert f"album/{name}: not a readable picture" in found[name].error
    assert sorted(module.sizes)[:2] == [(8, 8), (10, 20)]


def test_large_pictures_come_alone(tmp_path):
    for number in range(3):
        Image.new("RGB", (2000, 1800)).save(tmp_path / f"{number}.png")
    assert [len(pictures) for pictures in opened(tmp_path).predict_dataloader()] == [1, 1, 1]


def test_results_that_are_there_are_left_out(folder, tmp_path):
    done = tmp_path / "done"
    (done / "more").mkdir(parents=True)
    for name in ("0.png", "1.png", "more/a.png"):
        (done / name).touch()
    os.utime(done / "1.png", (0, 0))  # older than its picture
    module = opened(folder, done=str(done))
    left = {one.sample_id for pictures in module.predict_dataloader() for one in pictures}
    assert left == {"1.png", "2.png", "3.png", "broken.png", "text.jpg"}
    assert module.num_pictures == 7


def test_nothing_left_is_one_empty_group(folder, tmp_path):
    for name in ("broken.png", "text.jpg"):
        (folder / name).unlink()
    (tmp_path / "done/more").mkdir(parents=True)
    for name in ("0.png", "1.png", "2.png", "3.png", "more/a.png"):
        (tmp_path / "done" / name).touch()
    assert list(opened(folder, done=str(tmp_path / "done")).predict_dataloader()) == [[]]


def test_results_keep_their_names():
    ids = ["a.jpg", "b.png", "b.jpg", "c/a.jpeg", "c/A.png", "d.e.gif"]
    assert result_names(ids) == ["a.png", "b.png.png", "b.jpg.png", "c/a.jpeg.png", "c/A.png.png", "d.e.png"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_tag_says(orientation, tmp_path):
    tag = Image.Exif()
    tag[0x0112] = orientation
    colours(24, 16).save(tmp_path / "a.jpg", exif=tag, quality=95)
    with Image.open(tmp_path / "a.jpg") as picture:
        expected = np.array(ImageOps.exif_transpose(picture))
    module = opened(tmp_path)
    ((one,),) = module.predict_dataloader()
    assert np.array_equal(one.image.permute(1, 2, 0).numpy(), expected)
    assert module.sizes == [expected.shape[:2]]


def test_impossible_options_are_refused(folder):
    with pytest.raises(DataError, match=r"lies in .*album, where results would be taken for pictures"):
        MixedFolderDataModule(str(folder), done=str(folder / "out"))
    with pytest.raises(DataError, match="group=0: expected at least 1"):
        MixedFolderDataModule(str(folder), group=0)
    with pytest.raises(DataError, match="no such folder"):
        opened(folder / "none")
