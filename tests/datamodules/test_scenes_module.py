"""The embedded data set: rendered once, kept, and never half-made."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules import DataError, ScenesDataModule
from datamodules.scenes import CONCEPTS, render_scene
from datamodules.scenes import module as scenes_module
from datamodules.text import BagOfWords
from tests.datamodules.grouped import grouped

OPTIONS = {"num_images": 12, "size": 16, "query": 4, "val": 3, "train": None, "batch_size": 4, "num_proc": 1}


def make(seed=5, **options):
    return ScenesDataModule(seed=seed, **grouped(**(OPTIONS | options)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module")
def module(cache):
    made = make(cache_dir=str(cache))
    made.prepare_data()
    made.setup("fit")
    return made


def _folder(cache):
    return cache / "scenes-12-4-16px-seed5-v1"


def _count_renders(monkeypatch, fail_after=None, failure=KeyboardInterrupt):
    calls = []

    def render(seed, name, size):
        calls.append(name)
        if fail_after is not None and len(calls) > fail_after:
            raise failure
        return render_scene(seed, name, size)

    monkeypatch.setattr(scenes_module, "render_scene", render)
    return calls


def test_nothing_but_the_scenes_is_left(module, cache):
    assert sorted(p.name for p in cache.iterdir()) == ["manifests", _folder(cache).name]


def test_classes_are_the_concepts(module):
    assert module.class_names == tuple(CONCEPTS)
    assert module.num_classes == 24
    assert module.dataset_name == "scenes"


def test_items_are_the_rendered_scenes(module):
    for split in ("query", "val", "database"):
        for item in module.dataset(split):
            scene = render_scene(5, item.sample_id, 16)
            assert np.array_equal(item.image.permute(1, 2, 0).numpy(), scene.image)
            assert np.array_equal(item.label.numpy(), scene.label)
            assert item.caption == scene.caption
            assert len(item.caption) > 5


def test_splits(module):
    assert {split: len(module.ids(split)) for split in ("train", "val", "query", "database")} == {
        "train": 9,
        "val": 3,
        "query": 4,
        "database": 12,
    }
    assert {i.split("-")[0] for i in module.ids("query")} == {"test"}
    assert {i.split("-")[0] for i in module.ids("database") + module.ids("val")} == {"train"}


def test_a_batch(module):
    batch = next(iter(module.predict_dataloader()))
    assert batch.image.shape == (4, 3, 16, 16)
    assert batch.label.shape == (4, 24)
    assert ((batch.label.sum(1) >= 1) & (batch.label.sum(1) <= 3)).all()
    assert len(batch.captions) == 4


def test_the_second_call_renders_nothing(module, cache, monkeypatch):
    calls = _count_renders(monkeypatch)
    again = make(cache_dir=str(cache))
    again.prepare_data()
    again.setup("test")
    assert calls == []
    assert again.fingerprint == module.fingerprint
    assert again.ids("train") == module.ids("train")


def test_the_same_seed_gives_the_same_scenes_anywhere(module, tmp_path, monkeypatch):
    calls = _count_renders(monkeypatch)
    again = make(cache_dir=str(tmp_path))
    again.prepare_data()
    again.setup("fit")
    assert len(calls) == 16
    assert again.fingerprint == module.fingerprint
    pairs = zip(again.dataset("train"), module.dataset("train"), strict=True)
    assert all((a.image == b.image).all() and a.caption == b.caption for a, b in pairs)


@pytest.mark.parametrize("option", [{"seed": 6}, {"size": 17}, {"num_images": 13}, {"query": 5}])
def test_other_options_are_another_folder(cache, option):
    plain = make(cache_dir=str(cache))
    other = make(cache_dir=str(cache), **option)
    assert plain.path == str(_folder(cache))
    assert other.path != plain.path


def test_another_seed_is_other_scenes(module, cache):
    other = make(6, cache_dir=str(cache))
    other.prepare_data()
    other.setup("fit")
    assert other.fingerprint != module.fingerprint
    assert other.class_names == module.class_names


@pytest.mark.parametrize("after", [0, 5, 14])  # in the first split and in the second
def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch, after):
    _count_renders(monkeypatch, fail_after=after)
    with pytest.raises(KeyboardInterrupt):
        make(cache_dir=str(tmp_path)).prepare_data()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_not_taken_for_scenes(tmp_path, monkeypatch):
    left = tmp_path / f"{_folder(tmp_path).name}.1.partial" / "arrow"
    left.mkdir(parents=True)
    (left / "dataset_dict.json").write_text("{}")
    calls = _count_renders(monkeypatch)
    made = make(cache_dir=str(tmp_path))
    made.prepare_data()
    made.setup("fit")
    assert len(calls) == 16
    assert len(made.source.ids) == 16


def test_a_run_that_was_overtaken_uses_the_scenes_of_the_other(tmp_path, monkeypatch):
    mine, other = (make(cache_dir=str(tmp_path)) for _ in range(2))
    plain = scenes_module.os.getpid()
    monkeypatch.setattr(scenes_module.os, "getpid", lambda: plain + 1)
    started = []

    def render(seed, name, size):
        if not started:
            started.append(name)
            monkeypatch.setattr(scenes_module.os, "getpid", lambda: plain + 2)
            other.prepare_data()
        return render_scene(seed, name, size)

    monkeypatch.setattr(scenes_module, "render_scene", render)
    mine.prepare_data()
    assert started == ["train-0000000"]
    assert [p.name for p in tmp_path.iterdir()] == [_folder(tmp_path).name]
    mine.setup("fit")
    assert len(mine.source.ids) == 16


def test_a_place_that_is_taken_is_named(tmp_path):
    _folder(tmp_path).mkdir()
    (_folder(tmp_path) / "notes.txt").write_text("something else")
    with pytest.raises(DataError) as caught:
        make(cache_dir=str(tmp_path)).prepare_data()
    assert str(caught.value) == f"{_folder(tmp_path)}: the scenes cannot be kept (Directory not empty)"
    assert [p.name for p in tmp_path.iterdir()] == [_folder(tmp_path).name]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"size": 15}, "the side of the rendered scenes=15: expected at least 16"),
        ({"query": 0}, "splits.query=0: expected at least 1"),
        ({"num_images": 1}, "num_images=1: expected at least 2"),
    ],
)
def test_impossible_options_are_refused_before_rendering(tmp_path, option, message):
    with pytest.raises(DataError) as caught:
        make(cache_dir=str(tmp_path), **option)
    assert str(caught.value) == message


def test_captions_become_text_features(module, cache):
    words = make(cache_dir=str(cache), text=BagOfWords(max_features=9))
    words.setup("fit")
    batch = next(iter(words.predict_dataloader()))
    assert batch.text.shape == (4, 9)
    assert batch.text.any()
    assert batch.captions == next(iter(module.predict_dataloader())).captions
    assert words.fingerprint == module.fingerprint
