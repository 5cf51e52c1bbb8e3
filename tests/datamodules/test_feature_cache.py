"""Features of a frozen extractor: kept once, read by row, in place of pictures."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from datamodules import DataError, Loading, Pixels, ScenesDataModule, SplitSizes
from datamodules.feature_cache import FeatureCache


def test_rows_are_kept_and_missing_ones_known(tmp_path):
    cache = FeatureCache(tmp_path / "f/a.npy", 5, 3)
    values = torch.rand(2, 3)
    cache.write(np.array([4, 1]), values)
    again = pickle.loads(pickle.dumps(FeatureCache(tmp_path / "f/a.npy", 5, 3)))  # noqa: S301 - our own, as workers get it
    assert torch.equal(again[4], values[0])
    assert torch.equal(again.rows(np.array([1, 4])), values.flip(0))
    assert again.missing(np.array([0, 1, 2, 4])).tolist() == [0, 2]


def test_what_cannot_be_kept_is_refused(tmp_path):
    cache = FeatureCache(tmp_path / "a.npy", 5, 3)
    with pytest.raises(DataError, match=r"NaN or infinite features for rows \[2\]"):
        cache.write(np.array([2]), torch.full((1, 3), torch.nan))
    assert cache.missing(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match=r"a\.npy.*holds float32 \(5, 3\), expected float32 \(5, 4\)"):
        FeatureCache(tmp_path / "a.npy", 5, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


def scenes(folder, **options):
    data = ScenesDataModule(
        num_images=24,
        num_proc=1,
        pixels=Pixels(16),
        splits=SplitSizes(query=3, val=4, train=10, **options),
        loader=Loading(5),
        cache_dir=str(folder),
    )
    data.prepare_data()
    data.setup("fit")
    return data


def means(images):
    return images.mean(dim=(2, 3))


class Counted:
    def __init__(self):
        self.images = 0

    def __call__(self, images):
        self.images += len(images)
        return means(images)


def test_loaders_hand_out_features_in_place_of_pictures(folder):
    plain, data = scenes(folder), scenes(folder)
    data.use_features(means, 3, "means", "fit")
    for ours, theirs in zip(data.val_dataloader(), plain.val_dataloader(), strict=True):
        for batch, pictures in zip(ours, theirs, strict=True):
            assert batch.ids == pictures.ids
            assert batch.image.shape == (len(batch), 3, 0, 0)
            torch.testing.assert_close(batch.features, means(pictures.to("cpu").image))
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch.features, data.image_features("train")[batch.index])


def test_features_are_computed_once_for_what_a_stage_needs(folder):
    count, data = Counted(), scenes(folder, val_database=3)
    ranked = sum((batch.ids for batch in data.val_dataloader()[0]), ())
    needed = {"validate": {*ranked, *data.ids("val")}, "test": {*data.ids("database"), *data.ids("query")}}
    needed["fit"] = needed["validate"] | set(data.ids("train"))
    known: set[str] = set()
    for stage in ("fit", "validate", "test", "fit"):
        scenes(folder, val_database=3).use_features(count, 3, "once", stage)
        known |= needed[stage]
        assert count.images == len(known)
    data.use_features(count, 3, "another extractor", "validate")
    assert count.images == len(known) + len(needed["validate"])


def test_nothing_is_asked_of_a_module_without_features(folder):
    with pytest.raises(RuntimeError, match="use_features"):
        scenes(folder).image_features("train")
    with pytest.raises(DataError, match="scenes has no text features"):
        scenes(folder).text_features("train")
    assert scenes(folder).text_width is None
