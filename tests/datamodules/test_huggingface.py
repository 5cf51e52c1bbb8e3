"""Hugging Face data sets in every form they lie on disk, and early errors that name what is wrong."""

from __future__ import annotations

import gc
import os
import pickle
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import ClassLabel, Features, Sequence, Value
from PIL import Image

from datamodules import DataError, HuggingFaceDataModule
from tests.datamodules.grouped import grouped

CLASSES = ["cat", "dog"]
FEATURES = Features({"image": datasets.Image(), "label": ClassLabel(names=CLASSES), "text": Value("string")})
SIZES = {"size": 8, "query": 3, "val": 2, "train": 4, "batch_size": 4}


def _grey(split, row):
    """A grey that tells split and row."""
    return row * 7 + (100 if split == "test" else 0)


def _columns(encode, split, count, labels=None, texts=None):
    pictures = [encode(Image.new("RGB", (8, 8), (_grey(split, row),) * 3)) for row in range(count)]
    return {
        "image": [{"bytes": data, "path": None} for data in pictures],
        "label": [row % 2 for row in range(count)] if labels is None else labels,
        "text": [f"{split} {row}" for row in range(count)] if texts is None else texts,
    }


@pytest.fixture
def parts(encode):
    return {
        split: datasets.Dataset.from_dict(_columns(encode, split, count), features=FEATURES)
        for split, count in (("train", 12), ("test", 5))
    }


@pytest.fixture
def saved(parts, tmp_path):
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def _module(path, tmp_path, **options):
    return HuggingFaceDataModule(str(path), cache_dir=str(tmp_path / "cache"), **grouped(**(SIZES | options)))


def _open(path, tmp_path, **options):
    module = _module(path, tmp_path, **options)
    module.prepare_data()
    module.setup("fit")
    return module


def _refused(path, tmp_path, **options):
    with pytest.raises(DataError) as caught:
        _open(path, tmp_path, **options)
    return str(caught.value)


def _check_all(module):
    """Every item of every split has the grey and the label of its id."""
    for split, count in (("train", 4), ("val", 2), ("query", 3), ("database", 12)):
        items = module.dataset(split)
        assert len(items) == count
        for item in items:
            source_split, row = item.sample_id.split("-")
            assert source_split == ("test" if split == "query" else "train")
            assert item.image.shape == (3, 8, 8)
            assert item.image.unique().tolist() == [_grey(source_split, int(row))]
            assert item.label.tolist() == [1 - int(row) % 2, int(row) % 2]


def test_folder_of_parquet_files(parts, tmp_path):
    folder = tmp_path / "pets"
    folder.mkdir()
    for split, part in parts.items():
        part.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    module = _open(folder, tmp_path)
    _check_all(module)
    assert module.class_names == ("cat", "dog")
    assert module.dataset_name == "pets"
    assert module.num_classes == 2


def test_folder_of_pictures(encode, tmp_path):
    for split, count in (("train", 12), ("test", 5)):
        for row in range(count):
            # File order is class by class: the first half of the rows are cats.
            place = tmp_path / "pets" / split / CLASSES[row >= (count + 1) // 2] / f"{row:02d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(encode(Image.new("RGB", (12, 8), (_grey(split, row),) * 3)))
    module = _open(tmp_path / "pets", tmp_path)
    assert module.class_names == ("cat", "dog")
    assert [len(module.rows(split)) for split in ("train", "val", "query", "database")] == [4, 2, 3, 12]
    for split, count in (("query", 5), ("database", 12)):
        for item in module.dataset(split):
            source_split, row = item.sample_id.split("-")
            assert item.image.unique().tolist() == [_grey(source_split, int(row))]
            assert item.label.argmax() == int(int(row) >= (count + 1) // 2)
            assert item.caption is None


def test_a_picture_that_left_its_folder_is_named(encode, tmp_path):
    for split in ("train", "test"):
        for row in range(6):
            place = tmp_path / "pets" / split / CLASSES[row % 2] / f"{row}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(encode(Image.new("RGB", (8, 8))))
    module = _open(tmp_path / "pets", tmp_path, train=1)
    gone = Path(module.source._rows[3]["image"]["path"])
    gone.unlink()
    with pytest.raises(DataError) as caught:
        module.source.image(3)
    assert str(caught.value) == f"{gone}: cannot be read (No such file or directory)"


def test_arrow_folder_with_several_splits(saved, tmp_path):
    module = _open(saved, tmp_path, name="pets")
    _check_all(module)
    assert module.dataset_name == "pets"


def test_arrow_folder_with_one_split(parts, tmp_path):
    parts["train"].save_to_disk(tmp_path / "one")
    module = _open(tmp_path / "one", tmp_path, query_split="train", database_split="train")
    members = {split: set(module.ids(split)) for split in ("train", "val", "query", "database")}
    assert {split: len(ids) for split, ids in members.items()} == {"train": 4, "val": 2, "query": 3, "database": 9}
    assert len(members["val"] | members["query"] | members["database"]) == 12
    greys = [{item.image[0, 0, 0].item() for item in module.dataset(split)} for split in ("query", "database")]
    assert not greys[0] & greys[1]


def test_one_split_is_never_both_pools_under_two_names(parts, tmp_path):
    parts["train"].save_to_disk(tmp_path / "one")
    assert _refused(tmp_path / "one", tmp_path) == (
        f"{tmp_path / 'one'} is a single split: give query_split and database_split the same name, "
        "got ['test', 'train']"
    )


def test_queries_and_database_from_the_same_split(saved, tmp_path):
    module = _open(saved, tmp_path, query_split="train", query=4)
    assert len(module.source.ids) == 12
    assert {i.split("-")[0] for i in module.ids("query")} == {"train"}
    assert not set(module.ids("query")) & (set(module.ids("database")) | set(module.ids("val")))


def test_swapped_splits(saved, tmp_path):
    module = _open(saved, tmp_path, query_split="train", database_split="test", val=1, train=2)
    assert {i.split("-")[0] for i in module.ids("query")} == {"train"}
    assert {i.split("-")[0] for i in module.ids("database")} == {"test"}
    assert module.dataset("query")[0].image.unique().item() == _grey("train", int(module.ids("query")[0][6:]))


def test_captions_come_from_the_text_column(saved, tmp_path):
    module = _open(saved, tmp_path, text_column="text")
    items = list(module.dataset("query"))
    assert [item.caption for item in items] == [f"test {int(item.sample_id[5:])}" for item in items]
    assert module.collate(items).captions == tuple(item.caption for item in items)
    without = _open(saved, tmp_path)
    assert without.collate(list(without.dataset("query"))).captions is None


def test_a_saved_format_is_no_matter(parts, tmp_path):
    for part in parts.values():
        part.set_format("torch")
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "formatted")
    assert datasets.load_from_disk(tmp_path / "formatted")["train"].format["type"] == "torch"
    _check_all(_open(tmp_path / "formatted", tmp_path, text_column="text"))


def test_columns_that_nobody_reads_may_differ(parts, tmp_path):
    parts["test"] = parts["test"].remove_columns("text").add_column("text", [0.5] * 5).add_column("more", [1] * 5)
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "uneven")
    _check_all(_open(tmp_path / "uneven", tmp_path))


def test_two_class_lists_are_refused(parts, tmp_path):
    parts["test"] = parts["test"].cast_column("label", ClassLabel(names=["dog", "cat"]))
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "turned")
    assert _refused(tmp_path / "turned", tmp_path).startswith("turned: splits ['train', 'test'] differ in a column (")


def test_class_names_of_strings_are_shared_by_the_splits(encode, tmp_path):
    features = Features({"image": datasets.Image(), "label": Value("string"), "text": Value("string")})
    labels = {"train": ["cat", "eel"] * 6, "test": ["dog"] * 5}
    datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(_columns(encode, split, len(labels[split]), labels[split]), features)
            for split in labels
        }
    ).save_to_disk(tmp_path / "names")
    module = _open(tmp_path / "names", tmp_path)
    assert module.class_names == ("cat", "dog", "eel")
    assert module.labels("query").tolist() == [[0, 1, 0]] * 3


# Errors.


def test_unknown_path(tmp_path):
    message = _refused(tmp_path / "nothing", tmp_path)
    assert message.startswith(f"data path '{tmp_path / 'nothing'}' cannot be loaded: expected a Hub id, a folder of ")
    assert "Couldn't find any data file" in message


def test_damaged_parquet_file(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.parquet").write_bytes(b"PAR1 no parquet")
    assert _refused(tmp_path / "bad", tmp_path).startswith(f"data path '{tmp_path / 'bad'}' cannot be loaded: ")


def test_damaged_second_parquet_file(parts, tmp_path):
    (tmp_path / "bad").mkdir()
    parts["train"].to_parquet(tmp_path / "bad" / "train-00000-of-00002.parquet")
    whole = (tmp_path / "bad" / "train-00000-of-00002.parquet").read_bytes()
    (tmp_path / "bad" / "train-00001-of-00002.parquet").write_bytes(whole[:-9])
    message = _refused(tmp_path / "bad", tmp_path)
    assert message.startswith(f"data path '{tmp_path / 'bad'}' cannot be loaded: ")
    assert "(DatasetGenerationError: " in message


def test_damaged_arrow_folder(saved, tmp_path):
    (saved / "test" / "state.json").unlink()
    assert _refused(saved, tmp_path).startswith(f"data path '{saved}' cannot be loaded: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query_split": "dev"}, "{path}: no split 'dev', found ['test', 'train']"),
        ({"database_split": "all"}, "{path}: no split 'all', found ['test', 'train']"),
        ({"image_column": "img"}, "split 'train' has no column 'img', found ['image', 'label', 'text']"),
        ({"label_column": "y"}, "split 'train' has no column 'y', found ['image', 'label', 'text']"),
        ({"text_column": "caption"}, "split 'train' has no column 'caption', found ['image', 'label', 'text']"),
        ({"image_column": "text"}, "column 'text' holds Value('string'), expected pictures (Image)"),
        ({"label_column": "image"}, "column 'image' holds Image("),
        ({"query": 6}, "splits.query=6, but only 5 items are available for 'query'"),
    ],
)
def test_wrong_options_are_named(saved, tmp_path, options, message):
    assert _refused(saved, tmp_path, **options).startswith(message.format(path=saved))


def test_a_column_that_only_one_split_has(parts, tmp_path):
    parts["test"] = parts["test"].remove_columns("label")
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "uneven")
    assert _refused(tmp_path / "uneven", tmp_path) == "split 'test' has no column 'label', found ['image', 'text']"


def _save(encode, tmp_path, spoil, features=FEATURES):
    made = {}
    for split, count in (("train", 12), ("test", 5)):
        columns = _columns(encode, split, count)
        spoil(split, columns)
        made[split] = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(made).save_to_disk(tmp_path / "spoiled")
    return tmp_path / "spoiled"


def test_an_unlabelled_row_is_named_by_its_split(encode, tmp_path):
    def spoil(split, columns):
        if split == "test":
            columns["label"][4] = -1

    assert _refused(_save(encode, tmp_path, spoil), tmp_path) == (
        "row test-0000004, column 'label': class -1 marks an item without label, drop such rows"
    )


def test_a_column_without_any_class(encode, tmp_path):
    def spoil(split, columns):
        columns["label"] = [[] for _ in columns["label"]]

    features = Features(FEATURES | {"label": Sequence(Value("string"))})
    path = _save(encode, tmp_path, spoil, features)
    assert _refused(path, tmp_path) == "spoiled column 'label': no row has a class"


def test_missing_pictures_are_found_in_setup(encode, tmp_path):
    def spoil(split, columns):
        if split == "train":
            columns["image"][7] = columns["image"][9] = None

    assert _refused(_save(encode, tmp_path, spoil), tmp_path) == (
        "spoiled row train-0000007 column 'image': no value, as in 2 rows in all"
    )


def test_missing_captions_are_found_in_setup(encode, tmp_path):
    def spoil(split, columns):
        if split == "test":
            columns["text"][2] = None

    path = _save(encode, tmp_path, spoil)
    assert _refused(path, tmp_path, text_column="text") == (
        "spoiled row test-0000002 column 'text': no value, as in 1 rows in all"
    )
    _check_all(_open(path, tmp_path))  # nobody asks for the captions


@pytest.mark.parametrize("split", ["train", "test"])
def test_damaged_pictures_throughout_are_found_in_setup(encode, tmp_path, split):
    def spoil(found, columns):
        if found == split:
            columns["image"] = [{"bytes": b"no picture", "path": None} for _ in columns["image"]]

    message = _refused(_save(encode, tmp_path, spoil), tmp_path)
    assert message.startswith(f"spoiled row {split}-00000")
    assert "column 'image': not a readable picture (" in message


def test_one_damaged_picture_is_named_on_access(encode, saved, tmp_path):
    clean = _open(saved, tmp_path)
    firsts = {int(clean.rows(split)[0]) for split in ("train", "val", "database")}  # setup looks at these
    cut, empty, good = [row for row in range(12) if row not in firsts][:3]

    def spoil(split, columns):
        if split == "train":
            columns["image"][cut] = {"bytes": columns["image"][cut]["bytes"][:60], "path": None}
            columns["image"][empty] = {"bytes": b"", "path": None}

    module = _open(_save(encode, tmp_path, spoil), tmp_path)
    for row, message in ((cut, "not a readable picture ("), (empty, "the picture is empty (0 bytes)")):
        with pytest.raises(DataError) as caught:
            module.source.image(row)
        assert str(caught.value).startswith(f"spoiled row train-{row:07d} column 'image': {message}")
    assert module.source.image(good).unique().item() == _grey("train", good)


def test_damage_in_a_loader_worker_is_named(encode, tmp_path, monkeypatch):
    # A worker that failed is waited for this long, 5 s by default, before it is ended.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)

    def spoil(split, columns):
        if split == "test":
            columns["image"][1:] = [{"bytes": b"no picture", "path": None}] * 4

    module = _open(_save(encode, tmp_path, spoil), tmp_path, query=5, num_workers=1)
    with pytest.raises(DataError, match=r"spoiled row test-0000001 column 'image': not a readable picture"):
        list(module.predict_dataloader())
    gc.collect()  # ends the worker now


def test_neither_bytes_nor_path(parts, tmp_path):
    # The Image feature never writes such a row; other writers of Arrow files do.
    nothing = pa.array([{"bytes": None, "path": None}] * 12, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = parts["train"].with_format("arrow")[:]
    parts["train"] = datasets.Dataset(table.set_column(0, "image", nothing))
    assert parts["train"].features["image"] == datasets.Image()
    (tmp_path / "hollow").mkdir()
    for split, part in parts.items():
        part.to_parquet(tmp_path / "hollow" / f"{split}.parquet")
    message = _refused(tmp_path / "hollow", tmp_path)
    assert message.startswith("hollow row train-00000")
    assert message.endswith(" column 'image': the picture is missing")


def test_the_same_column_may_serve_as_label_and_caption(saved, tmp_path):
    module = _open(saved, tmp_path, label_column="text", text_column="text")
    assert module.num_classes == 17
    assert module.dataset("query")[0].caption == module.class_names[module.labels("query")[0].argmax()]


def test_the_source_survives_pickling(saved, tmp_path):
    module = _open(saved, tmp_path, text_column="text")
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
