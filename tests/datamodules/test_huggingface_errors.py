"""What is wrong with a Hugging Face data set is named, as early as it can be known."""

from __future__ import annotations

import gc

import datasets
import pyarrow as pa
import pytest
import torch
from datasets import ClassLabel, Features, Sequence, Value

from datamodules import DataError
from tests.datamodules.pets import FEATURES, check_all, grey, open_pets, pet_columns, refused


def test_two_class_lists_are_refused(parts, tmp_path):
    parts["test"] = parts["test"].cast_column("label", ClassLabel(names=["dog", "cat"]))
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "turned")
    assert refused(tmp_path / "turned", tmp_path).startswith("turned: splits ['train', 'test'] differ in a column (")


def test_one_split_is_never_both_pools_under_two_names(parts, tmp_path):
    parts["train"].save_to_disk(tmp_path / "one")
    assert refused(tmp_path / "one", tmp_path) == (
        f"{tmp_path / 'one'} is a single split: give query_split and database_split the same name, "
        "got ['test', 'train']"
    )


def test_unknown_path(tmp_path):
    message = refused(tmp_path / "nothing", tmp_path)
    assert message.startswith(f"data path '{tmp_path / 'nothing'}' cannot be loaded: expected a Hub id, a folder of ")
    assert "Couldn't find any data file" in message


def test_damaged_parquet_file(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.parquet").write_bytes(b"PAR1 no parquet")
    assert refused(tmp_path / "bad", tmp_path).startswith(f"data path '{tmp_path / 'bad'}' cannot be loaded: ")


def test_damaged_second_parquet_file(parts, tmp_path):
    (tmp_path / "bad").mkdir()
    parts["train"].to_parquet(tmp_path / "bad" / "train-00000-of-00002.parquet")
    whole = (tmp_path / "bad" / "train-00000-of-00002.parquet").read_bytes()
    (tmp_path / "bad" / "train-00001-of-00002.parquet").write_bytes(whole[:-9])
    message = refused(tmp_path / "bad", tmp_path)
    assert message.startswith(f"data path '{tmp_path / 'bad'}' cannot be loaded: ")
    assert "(DatasetGenerationError: " in message


def test_damaged_arrow_folder(saved, tmp_path):
    (saved / "test" / "state.json").unlink()
    assert refused(saved, tmp_path).startswith(f"data path '{saved}' cannot be loaded: ")


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
    assert refused(saved, tmp_path, **options).startswith(message.format(path=saved))


def test_a_column_that_only_one_split_has(parts, tmp_path):
    parts["test"] = parts["test"].remove_columns("label")
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "uneven")
    assert refused(tmp_path / "uneven", tmp_path) == "split 'test' has no column 'label', found ['image', 'text']"


def _save(encode, tmp_path, spoil, features=FEATURES):
    made = {}
    for split, count in (("train", 12), ("test", 5)):
        columns = pet_columns(encode, split, count)
        spoil(split, columns)
        made[split] = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(made).save_to_disk(tmp_path / "spoiled")
    return tmp_path / "spoiled"


def test_an_unlabelled_row_is_named_by_its_split(encode, tmp_path):
    def spoil(split, columns):
        if split == "test":
            columns["label"][4] = -1

    assert refused(_save(encode, tmp_path, spoil), tmp_path) == (
        "row test-0000004, column 'label': class -1 marks an item without label, drop such rows"
    )


def test_a_column_without_any_class(encode, tmp_path):
    def spoil(split, columns):
        columns["label"] = [[] for _ in columns["label"]]

    features = Features(FEATURES | {"label": Sequence(Value("string"))})
    path = _save(encode, tmp_path, spoil, features)
    assert refused(path, tmp_path) == "spoiled column 'label': no row has a class"


def test_missing_pictures_are_found_in_setup(encode, tmp_path):
    def spoil(split, columns):
        if split == "train":
            columns["image"][7] = columns["image"][9] = None

    assert refused(_save(encode, tmp_path, spoil), tmp_path) == (
        "spoiled row train-0000007 column 'image': no value, as in 2 rows in all"
    )


def test_missing_captions_are_found_in_setup(encode, tmp_path):
    def spoil(split, columns):
        if split == "test":
            columns["text"][2] = None

    path = _save(encode, tmp_path, spoil)
    assert refused(path, tmp_path, text_column="text") == (
        "spoiled row test-0000002 column 'text': no value, as in 1 rows in all"
    )
    check_all(open_pets(path, tmp_path))  # nobody asks for the captions


@pytest.mark.parametrize("split", ["train", "test"])
def test_damaged_pictures_throughout_are_found_in_setup(encode, tmp_path, split):
    def spoil(found, columns):
        if found == split:
            columns["image"] = [{"bytes": b"no picture", "path": None} for _ in columns["image"]]

    message = refused(_save(encode, tmp_path, spoil), tmp_path)
    assert message.startswith(f"spoiled row {split}-00000")
    assert "column 'image': not a readable picture (" in message


def test_one_damaged_picture_is_named_on_access(encode, saved, tmp_path):
    clean = open_pets(saved, tmp_path)
    firsts = {int(clean.rows(split)[0]) for split in ("train", "val", "database")}  # setup looks at these
    cut, empty, good = [row for row in range(12) if row not in firsts][:3]

    def spoil(split, columns):
        if split == "train":
            columns["image"][cut] = {"bytes": columns["image"][cut]["bytes"][:60], "path": None}
            columns["image"][empty] = {"bytes": b"", "path": None}

    module = open_pets(_save(encode, tmp_path, spoil), tmp_path)
    for row, message in ((cut, "not a readable picture ("), (empty, "the picture is empty (0 bytes)")):
        with pytest.raises(DataError) as caught:
            module.source.image(row)
        assert str(caught.value).startswith(f"spoiled row train-{row:07d} column 'image': {message}")
    assert module.source.image(good).unique().item() == grey("train", good)


def test_damage_in_a_loader_worker_is_named(encode, tmp_path, monkeypatch):
    # A worker that failed is waited for this long, 5 s by default, before it is ended.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)

    def spoil(split, columns):
        if split == "test":
            columns["image"][1:] = [{"bytes": b"no picture", "path": None}] * 4

    module = open_pets(_save(encode, tmp_path, spoil), tmp_path, query=5, num_workers=1)
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
    message = refused(tmp_path / "hollow", tmp_path)
    assert message.startswith("hollow row train-00000")
    assert message.endswith(" column 'image': the picture is missing")
