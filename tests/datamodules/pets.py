"""A small Hugging Face data set of cats and dogs, in memory and saved, and how tests open it."""

from __future__ import annotations

import datasets
import pytest
from datasets import ClassLabel, Features, Value
from PIL import Image

from datamodules import DataError, HuggingFaceDataModule
from tests.datamodules.grouped import grouped

CLASSES = ["cat", "dog"]
FEATURES = Features({"image": datasets.Image(), "label": ClassLabel(names=CLASSES), "text": Value("string")})
SIZES = {"size": 8, "query": 3, "val": 2, "train": 4, "batch_size": 4}


def grey(split, row):
    """A grey that tells split and row."""
    return row * 7 + (100 if split == "test" else 0)


def pet_columns(encode, split, count, labels=None, texts=None):
    pictures = [encode(Image.new("RGB", (8, 8), (grey(split, row),) * 3)) for row in range(count)]
    return {
        "image": [{"bytes": data, "path": None} for data in pictures],
        "label": [row % 2 for row in range(count)] if labels is None else labels,
        "text": [f"{split} {row}" for row in range(count)] if texts is None else texts,
    }


@pytest.fixture
def parts(encode):
    return {
        split: datasets.Dataset.from_dict(pet_columns(encode, split, count), features=FEATURES)
        for split, count in (("train", 12), ("test", 5))
    }


@pytest.fixture
def saved(parts, tmp_path):
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def make_module(path, tmp_path, **options):
    return HuggingFaceDataModule(str(path), cache_dir=str(tmp_path / "cache"), **grouped(**(SIZES | options)))


def open_pets(path, tmp_path, **options):
    module = make_module(path, tmp_path, **options)
    module.prepare_data()
    module.setup("fit")
    return module


def refused(path, tmp_path, **options):
    with pytest.raises(DataError) as caught:
        open_pets(path, tmp_path, **options)
    return str(caught.value)


def check_all(module):
    """Every item of every split has the grey and the label of its id."""
    for split, count in (("train", 4), ("val", 2), ("query", 3), ("database", 12)):
        items = module.dataset(split)
        assert len(items) == count
        for item in items:
            source_split, row = item.sample_id.split("-")
            assert source_split == ("test" if split == "query" else "train")
            assert item.image.shape == (3, 8, 8)
            assert item.image.unique().tolist() == [grey(source_split, int(row))]
            assert item.label.tolist() == [1 - int(row) % 2, int(row) % 2]
