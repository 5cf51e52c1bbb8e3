"""A folder per class: what is a class, what is a split, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from grouped import grouped
from PIL import Image

from datamodules import ClassFoldersDataModule, DataError

FLAT = ("dog/b.png", "cat/a.PNG", "cat/old/2010/a.png", "Ünicode ☃/x y.png", "dog/a.png")
SPLIT = ("query/dog/a.png", "query/cat/x/a.png", "database/dog/a.png", "database/bird/a.png", "database/cat/b.png")


@pytest.fixture
def folder(tmp_path):
    """Write pictures whose grey is 10 times their place in sorted order."""

    def make(*paths):
        root = tmp_path / "my.pictures"
        for number, path in enumerate(sorted(paths)):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 7), (10 * number,) * 3).save(root / path)
        return root

    return make


def _open(root, tmp_path, **options):
    module = ClassFoldersDataModule(str(root), cache_dir=str(tmp_path / "cache"), **grouped(size=8, **options))
    module.prepare_data()
    module.setup()
    return module


def test_classes_are_the_top_folders(folder, tmp_path):
    root = folder(*FLAT)
    for stray in ("README.txt", "cat/Thumbs.db", "cat/._a.png", ".git/a.png"):
        (root / stray).parent.mkdir(exist_ok=True)
        (root / stray).write_text("no picture")
    module = _open(root, tmp_path, query=1, val=1, train=None)
    source = module.source
    assert source.name == "my.pictures"
    assert source.ids == tuple(sorted(FLAT))
    assert source.class_names == ("cat", "dog", "Ünicode ☃")
    assert source.labels.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert [source.image(row)[0, 0, 0].item() for row in range(5)] == [0, 10, 20, 30, 40]
    assert source.facts["split_source"] == "retpur-v1"
    assert [len(module.rows(name)) for name in ("train", "val", "query", "database")] == [3, 1, 1, 4]


def test_a_published_split(folder, tmp_path):
    module = _open(folder(*SPLIT), tmp_path, query=None, val=0, train=None)
    assert module.ids("query") == ("query/cat/x/a.png", "query/dog/a.png")
    assert module.ids("database") == ("database/bird/a.png", "database/cat/b.png", "database/dog/a.png")
    assert module.class_names == ("bird", "cat", "dog")
    assert module.labels("query").tolist() == [[0, 1, 0], [0, 0, 1]]
    assert module.labels("database").tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    (manifest,) = (tmp_path / "cache/manifests").iterdir()
    assert pq.read_schema(manifest).metadata[b"split_source"] == b"folders query and database"


def test_a_tenth_are_queries_where_nothing_is_published(folder, tmp_path):
    root = folder(*(f"{kind}/{number:02d}.png" for kind in "ab" for number in range(12)))
    module = _open(root, tmp_path, query=None, val=3, train=None)
    assert [len(module.rows(name)) for name in ("query", "val", "train", "database")] == [2, 3, 19, 22]


def test_new_pictures_show_up(folder, tmp_path):
    root = folder("a/1.png", "a/deep/2.png", "b/3.png")
    assert len(_open(root, tmp_path, query=1, val=0, train=1).source.ids) == 3
    Image.new("RGB", (9, 7)).save(root / "a/deep/4.png")
    assert len(_open(root, tmp_path, query=1, val=0, train=1).source.ids) == 4


def test_the_cache_may_lie_inside(folder, tmp_path):
    root = folder(*FLAT)
    for _ in range(2):
        module = _open(root, root, query=1, val=0, train=1)
        assert module.class_names == ("cat", "dog", "Ünicode ☃")
    assert len(list((root / "cache/catalogues").iterdir())) == 1


def test_linked_class_folders_are_followed_once(folder, tmp_path):
    root = folder("a/1.png", "b/2.png")
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (9, 7)).save(tmp_path / "elsewhere/3.png")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    (root / "a/circle").symlink_to(root)
    assert _open(root, tmp_path, query=1, val=0, train=1).source.ids == ("a/1.png", "b/2.png", "c/3.png")


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("cat/a.png", "b.png"), "1 pictures are in no class folder:\n  b.png"),
        (("query/a.png", "query/cat/a.png", "database/cat/a.png"), "in no class folder:\n  query/a.png"),
        (("train/cat/a.png", "test/cat/a.png"), "holds test, train: expected either one folder per class, or"),
        (("Train/cat/a.png", "VAL/cat/a.png"), "holds Train, VAL: expected either"),
        (("query/cat/a.png", "cat/a.png"), "holds cat, query: expected either"),
        (("train/cat/a.png", "query/cat/a.png", "database/cat/a.png"), "holds database, query, train"),
    ],
)
def test_confusing_folders_are_refused(folder, tmp_path, paths, message):
    root = folder(*paths)
    with pytest.raises(DataError) as caught:
        _open(root, tmp_path)
    assert str(caught.value).startswith(str(root))
    assert message in str(caught.value)


def test_empty_folders_are_refused(folder, tmp_path):
    root = folder("cat/a.png")
    (root / "dog/sub").mkdir(parents=True)
    with pytest.raises(DataError, match=r"1 class folders without pictures \(\.bmp.*\n  dog"):
        _open(root, tmp_path)
    root = folder("query/cat/a.png")
    (root / "cat/a.png").unlink()
    for name in ("cat", "dog/sub", "dog"):
        (root / name).rmdir()
    (root / "database").mkdir()
    with pytest.raises(DataError, match="database holds no class folders"):
        _open(root, tmp_path)
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="bare holds no folders"):
        _open(tmp_path / "bare", tmp_path)
    with pytest.raises(DataError, match="none: no such folder"):
        _open(tmp_path / "none", tmp_path)


def test_names_that_cannot_be_stored_are_refused(folder, tmp_path):
    root = folder("cat/a.png")
    os.rename(os.fsencode(root / "cat"), os.fsencode(root) + b"/caf\xe9")
    with pytest.raises(DataError, match="is not UTF-8"):
        _open(root, tmp_path)
    with pytest.raises(DataError, match="name='a/b': it becomes part of file names"):
        ClassFoldersDataModule(str(root), name="a/b")


def test_the_order_on_disk_does_not_matter(folder, tmp_path):
    marks = {_open(folder(*paths), tmp_path, query=1, val=1, train=2).fingerprint for paths in (FLAT, FLAT[::-1])}
    assert len(marks) == 1


def test_every_picture_keeps_its_label(folder, tmp_path):
    root = folder(*(f"{'abc'[number % 3]}/{number:02d}.png" for number in range(20)))
    source = _open(root, tmp_path, query=2, val=2, train=None).source
    rows = sorted(range(20), key=lambda number: ("abc"[number % 3], number))
    assert source.labels.argmax(1).tolist() == [number % 3 for number in rows]
    assert np.array([source.image(row)[0, 0, 0] for row in range(20)]).tolist() == [10 * row for row in range(20)]
