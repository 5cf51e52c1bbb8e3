"""Hugging Face data sets in every form they lie on disk."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from datasets import Features, Value
from PIL import Image

from datamodules import DataError, HuggingFaceDataModule
from tests.datamodules.grouped import grouped
from tests.datamodules.pets import CLASSES, check_all, grey, open_pets, pet_columns


def test_folder_of_parquet_files(parts, tmp_path):
    folder = tmp_path / "pets"
    folder.mkdir()
    for split, part in parts.items():
        part.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    module = open_pets(folder, tmp_path)
    check_all(module)
    assert module.class_names == ("cat", "dog")
    assert module.dataset_name == "pets"
    assert module.num_classes == 2


def test_folder_of_pictures(encode, tmp_path):
    for split, count in (("train", 12), ("test", 5)):
        for row in range(count):
            # File order is class by class: the first half of the rows are cats.
            place = tmp_path / "pets" / split / CLASSES[row >= (count + 1) // 2] / f"{row:02d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(encode(Image.new("RGB", (12, 8), (grey(split, row),) * 3)))
    module = open_pets(tmp_path / "pets", tmp_path)
    assert module.class_names == ("cat", "dog")
    assert [len(module.rows(split)) for split in ("train", "val", "query", "database")] == [4, 2, 3, 12]
    for split, count in (("query", 5), ("database", 12)):
        for item in module.dataset(split):
            source_split, row = item.sample_id.split("-")
            assert item.image.unique().tolist() == [grey(source_split, int(row))]
            assert item.label.argmax() == int(int(row) >= (count + 1) // 2)
            assert item.caption is None


def test_a_picture_that_left_its_folder_is_named(encode, tmp_path):
    for split in ("train", "test"):
        for row in range(6):
            place = tmp_path / "pets" / split / CLASSES[row % 2] / f"{row}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(encode(Image.new("RGB", (8, 8))))
    module = open_pets(tmp_path / "pets", tmp_path, train=1)
    gone = Path(module.source._rows[3]["image"]["path"])
    gone.unlink()
    with pytest.raises(DataError) as caught:
        module.source.image(3)
    assert str(caught.value) == f"{gone}: cannot be read (No such file or directory)"


def test_arrow_folder_with_several_splits(saved, tmp_path):
    module = open_pets(saved, tmp_path, name="pets")
    check_all(module)
    assert module.dataset_name == "pets"


def test_arrow_folder_with_one_split(parts, tmp_path):
    parts["train"].save_to_disk(tmp_path / "one")
    module = open_pets(tmp_path / "one", tmp_path, query_split="train", database_split="train")
    members = {split: set(module.ids(split)) for split in ("train", "val", "query", "database")}
    assert {split: len(ids) for split, ids in members.items()} == {"train": 4, "val": 2, "query": 3, "database": 9}
    assert len(members["val"] | members["query"] | members["database"]) == 12
    greys = [{item.image[0, 0, 0].item() for item in module.dataset(split)} for split in ("query", "database")]
    assert not greys[0] & greys[1]


def test_queries_and_database_from_the_same_split(saved, tmp_path):
    module = open_pets(saved, tmp_path, query_split="train", query=4)
    assert len(module.source.ids) == 12
    assert {i.split("-")[0] for i in module.ids("query")} == {"train"}
    assert not set(module.ids("query")) & (set(module.ids("database")) | set(module.ids("val")))


def test_swapped_splits(saved, tmp_path):
    module = open_pets(saved, tmp_path, query_split="train", database_split="test", val=1, train=2)
    assert {i.split("-")[0] for i in module.ids("query")} == {"train"}
    assert {i.split("-")[0] for i in module.ids("database")} == {"test"}
    assert module.dataset("query")[0].image.unique().item() == grey("train", int(module.ids("query")[0][6:]))


def test_captions_come_from_the_text_column(saved, tmp_path):
    module = open_pets(saved, tmp_path, text_column="text")
    items = list(module.dataset("query"))
    assert [item.caption for item in items] == [f"test {int(item.sample_id[5:])}" for item in items]
    assert module.collate(items).captions == tuple(item.caption for item in items)
    without = open_pets(saved, tmp_path)
    assert without.collate(list(without.dataset("query"))).captions is None


def test_a_saved_format_is_no_matter(parts, tmp_path):
    for part in parts.values():
        part.set_format("torch")
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "formatted")
    assert datasets.load_from_disk(tmp_path / "formatted")["train"].format["type"] == "torch"
    check_all(open_pets(tmp_path / "formatted", tmp_path, text_column="text"))


def test_columns_that_nobody_reads_may_differ(parts, tmp_path):
    parts["test"] = parts["test"].remove_columns("text").add_column("text", [0.5] * 5).add_column("more", [1] * 5)
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "uneven")
    check_all(open_pets(tmp_path / "uneven", tmp_path))


def test_class_names_of_strings_are_shared_by_the_splits(encode, tmp_path):
    features = Features({"image": datasets.Image(), "label": Value("string"), "text": Value("string")})
    labels = {"train": ["cat", "eel"] * 6, "test": ["dog"] * 5}
    datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(pet_columns(encode, split, len(labels[split]), labels[split]), features)
            for split in labels
        }
    ).save_to_disk(tmp_path / "names")
    module = open_pets(tmp_path / "names", tmp_path)
    assert module.class_names == ("cat", "dog", "eel")
    assert module.labels("query").tolist() == [[0, 1, 0]] * 3


def test_the_same_column_may_serve_as_label_and_caption(saved, tmp_path):
    module = open_pets(saved, tmp_path, label_column="text", text_column="text")
    assert module.num_classes == 17
    assert module.dataset("query")[0].caption == module.class_names[module.labels("query")[0].argmax()]


def test_the_source_survives_pickling(saved, tmp_path):
    module = open_pets(saved, tmp_path, text_column="text")
    copy = pickle.loads(pickle.dumps(module.source))  # noqa: S301 - our own bytes
    assert torch.equal(copy.image(14), module.source.image(14))
    assert copy.caption(14) == "test 2"


# Real photographs.

DATA = Path(os.environ.get("RETPUR_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.skipif(
    not (DATA / "cifar10").is_dir(), reason=f"no cifar10/ in {DATA}: set RETPUR_TEST_DATA to a folder that holds it"
)
def test_cifar10(tmp_path):
    module = HuggingFaceDataModule(
        str(DATA / "cifar10"), image_column="img", cache_dir=str(tmp_path), **grouped(size=32, train=5000)
    )
    module.setup("fit")
    assert len(module.source.ids) == 60_000
    assert len(module.source.database_pool) == 50_000
    assert len(module.source.query_pool) == 10_000
    assert module.class_names == (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    assert [len(module.rows(split)) for split in ("train", "val", "query", "database")] == [5000, 500, 1000, 50_000]
    assert set(module.rows("train").tolist()) < set(module.rows("database").tolist())
    assert (module.source.labels.sum(1) == 1).all()
    assert module.source.labels[:50_000].sum(0).tolist() == [5000] * 10
    assert np.abs(module.labels("train").sum(0).numpy() - 500.0).max() < 100  # five standard deviations
    batch = next(iter(module.train_dataloader()))
    assert (batch.image.shape, batch.image.dtype) == ((32, 3, 32, 32), torch.uint8)
    assert batch.label.shape == (32, 10)
    assert len(set(batch.ids)) == 32
    image = batch.to("cpu").image
    assert 0 <= image.min() < 0.1
    assert 0.9 < image.max() <= 1
    assert 0.35 < image.mean() < 0.6  # CIFAR-10's is 0.473
