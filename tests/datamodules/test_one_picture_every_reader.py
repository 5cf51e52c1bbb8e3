"""One picture, whatever keeps it: a file, a zip archive, an array, a Hugging Face row, the cache of resized pixels."""

import zipfile

import datasets
import numpy as np
import pytest
import torch

from datamodules import HuggingFaceDataModule, Loading, Pixels, SplitSizes
from datamodules.dataset import RetrievalDataset, collate
from datamodules.images import Resize, decode
from datamodules.pixel_cache import PixelCache
from datamodules.source import ItemSource
from datamodules.stores import PictureStore

PIXELS = Pixels(224, 256)


class Stored(ItemSource):
    """One item of a store."""

    name, class_names, ids = "stored", ("a",), ("0",)
    labels = np.ones((1, 1), dtype=np.uint8)

    def __init__(self, store, path):
        self.store, self.place = store, path

    def image(self, row):
        return self.store.read(self.place)


@pytest.fixture
def picture(photograph, encode):
    return encode(photograph(375, 500), "JPEG", quality=90)


@pytest.fixture
def expected(picture):
    """Decoded and resized on its own."""
    return Resize(PIXELS)(decode(picture, "picture"))[None]


def read(source, cache=None):
    dataset = RetrievalDataset(source, np.array([0]), Resize(PIXELS), cache=cache)
    return collate([dataset[0]]).image


def test_folder_archive_array_and_cache_give_the_same_batch(picture, expected, tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("images/a.jpg", picture)
    np.save(tmp_path / "pixels.npy", decode(picture, "picture")[None].numpy())
    store = PictureStore(tmp_path)
    for place in ("a.jpg", "all.zip/images/a.jpg", "pixels.npy#0"):
        assert torch.equal(read(Stored(store, place)), expected), place
    cache = PixelCache(tmp_path / "cache.npy", 1, 224)
    for _ in range(2):  # written, then read
        assert torch.equal(read(Stored(store, "a.jpg"), cache), expected)


@pytest.mark.parametrize("kept", [False, True])
def test_a_hugging_face_row_gives_the_same_batch(picture, expected, tmp_path, kept):
    rows = {"image": [{"bytes": picture, "path": None}] * 4, "label": [0, 1, 0, 1]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    (tmp_path / "hub").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "hub" / "train.parquet"))
    module = HuggingFaceDataModule(
        str(tmp_path / "hub"),
        query_split="train",
        pixels=Pixels(224, 256, cache=kept),
        splits=SplitSizes(query=1, val=1, train=1),
        loader=Loading(batch_size=1),
        cache_dir=str(tmp_path / "cache"),
    )
    module.prepare_data()
    module.setup()
    for _ in range(2):
        (batch,) = module.test_dataloader()[1]
        assert torch.equal(batch.image, expected)
    assert (tmp_path / "cache" / "pixels").exists() == kept
