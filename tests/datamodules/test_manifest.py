"""The fingerprint says which data was used, and nothing else; the manifest says it in full."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from datamodules import parquet
from datamodules.manifest import fingerprint, text_fingerprint, write_manifest
from datamodules.source import DataError
from datamodules.splits import Splits, SplitSizes, make_splits

SIZES = SplitSizes(query=6, val=5, train=8, database=17, seed=3)
FACTS = {"fingerprint": "f" * 64, "rule": "retpur-v1", "seed": "3"}


def _mark(source, splits=None):
    splits = make_splits(source, SIZES) if splits is None else splits
    return fingerprint(source.ids, source.labels, splits, source.class_names)


def _independent(source, splits):
    """The same definition once more, from a table of strings."""
    member = {name: [source.ids[row] for row in splits[name]] for name in ("query", "database", "train")}
    lines = ["", "\x1f".join(source.class_names)]
    for sample_id in sorted(set().union(*member.values())):
        flags = "|".join(str(int(sample_id in member[name])) for name in ("query", "database"))
        places = ",".join(str(place) for place, trained in enumerate(member["train"]) if trained == sample_id)
        label = "".join(str(value) for value in source.labels[source.ids.index(sample_id)])
        lines.append(f"{sample_id}|{flags}|{places}|{label}")
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


@pytest.mark.parametrize("shared", [False, True])
def test_agrees_with_an_independent_implementation(memory, shared):
    source = memory(shared=shared)
    splits = make_splits(source, SIZES)
    assert _mark(source, splits) == _independent(source, splits)
    assert len(_mark(source, splits)) == 64


def test_row_order_does_not_matter(memory):
    order = np.random.default_rng(0).permutation(40)
    assert _mark(memory(order=order)) == _mark(memory())


def test_order_of_rows_within_a_split_does_not_matter(memory):
    source = memory()
    splits = make_splits(source, SIZES)
    turned = Splits(splits.train, *(splits[name][::-1] for name in ("val", "query", "database")))
    assert _mark(source, turned) == _mark(source, splits)


def test_one_label_changes_it(memory):
    source = memory()
    before, row = _mark(source), make_splits(source, SIZES).database[4]
    source.labels[row, 1] ^= 1
    assert _mark(source) != before


def test_labels_of_unused_items_do_not_change_it(memory):
    source = memory()
    splits = make_splits(source, SIZES)
    unused = np.setdiff1d(np.arange(40), np.concatenate([splits.query, splits.val, splits.database]))
    before = _mark(source, splits)
    source.labels[unused] ^= 1
    assert len(unused) == 17
    assert _mark(source, splits) == before


@pytest.mark.parametrize("name", ["train", "query", "database"])
def test_membership_changes_it(memory, name):
    source = memory()
    splits = make_splits(source, SIZES)
    parts = {part: splits[part] for part in ("train", "val", "query", "database")}
    fewer = Splits(**(parts | {name: parts[name][1:]}))
    assert _mark(source, fewer) != _mark(source, splits)


def test_an_item_that_moves_changes_it(memory):
    source = memory()
    splits = make_splits(source, SIZES)
    moved = Splits(splits.train, splits.query, splits.val, splits.database)
    assert _mark(source, moved) != _mark(source, splits)


def test_a_class_name_and_its_place_change_it(memory):
    marks = {_mark(memory(class_names=names)) for names in (("a", "b", "c"), ("a", "b", "x"), ("b", "a", "c"))}
    assert len(marks) == 3


def test_an_id_changes_it(memory):
    source = memory()
    splits = make_splits(source, SIZES)
    before = _mark(source, splits)
    source.ids = tuple(i.replace("item", "thing") for i in source.ids)
    assert _mark(source, splits) != before


def test_the_manifest_holds_every_used_item(memory, tmp_path):
    source = memory(order=np.random.default_rng(1).permutation(40))
    splits = make_splits(source, SIZES)
    path = tmp_path / "new" / "memory.parquet"
    write_manifest(source, splits, path, FACTS)
    table = pq.read_table(path)
    assert table.column_names == [
        *("id", "path", "is_query", "is_database", "is_train", "is_val"),
        *("train_pos", "db_pos", "label", "text", "tags"),
    ]
    assert {key.decode(): value.decode() for key, value in table.schema.metadata.items()} == FACTS
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert len(rows) == 6 + 17
    for name in ("train", "val", "query", "database"):
        assert {row["id"] for row in rows if row[f"is_{name}"]} == {source.ids[row] for row in splits[name]}
    for row in rows:
        place = source.ids.index(row["id"])
        assert row["label"] == source.labels[place].tolist()
        assert row["db_pos"] == (splits.database.tolist().index(place) if row["is_database"] else None)
        assert row["train_pos"] == [p for p, trained in enumerate(splits.train) if trained == place]


def test_the_fingerprint_can_be_recomputed_from_the_manifest(memory, tmp_path):
    source = memory()
    splits = make_splits(source, SIZES)
    write_manifest(source, splits, tmp_path / "m.parquet", FACTS)
    digest = hashlib.sha256(("\n" + "\x1f".join(source.class_names) + "\n").encode())
    for row in pq.read_table(tmp_path / "m.parquet").to_pylist():
        flags, places = f"{row['is_query']:d}|{row['is_database']:d}", ",".join(map(str, row["train_pos"]))
        digest.update(f"{row['id']}|{flags}|{places}|{''.join(map(str, row['label']))}\n".encode())
    assert digest.hexdigest() == _mark(source, splits)


def test_validation_items_and_the_protocol(memory):
    source = memory()
    splits = make_splits(source, SIZES)
    assert _mark(source, replace(splits, val=splits.val[1:])) == _mark(source, splits)
    names = source.class_names
    marks = {fingerprint(source.ids, source.labels, splits, names, protocol) for protocol in ("", "uni", "cross")}
    assert len(marks) == 3


def test_a_repeated_training_line_is_kept(memory, tmp_path):
    source = memory()
    splits = make_splits(source, SIZES)
    twice = replace(splits, train=np.append(splits.train, splits.train[2]))
    assert _mark(source, twice) != _mark(source, splits)
    write_manifest(source, twice, tmp_path / "m.parquet", FACTS)
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "m.parquet").to_pylist()}
    assert rows[source.ids[splits.train[2]]]["train_pos"] == [2, 8]
    assert rows[source.ids[splits.train[1]]]["train_pos"] == [1]


def test_texts_have_a_hash_of_their_own(memory):
    source = memory(captions=[f"text {row}" for row in range(40)])
    splits = make_splits(source, SIZES)
    before, mark = text_fingerprint(source, splits), _mark(source)
    source.captions[splits.query[0]] = "another"
    assert text_fingerprint(source, splits) != before
    assert _mark(source) == mark
    assert text_fingerprint(memory(), splits) == ""


def test_an_unwritable_folder_is_named(memory, tmp_path):
    source = memory()
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "file" / "manifest.parquet"
    with pytest.raises(DataError) as caught:
        write_manifest(source, make_splits(source, SIZES), path, FACTS)
    assert str(caught.value).startswith(f"{path}: the manifest cannot be written (")
    assert "None" not in str(caught.value)


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_failed_write_leaves_nothing_behind(memory, tmp_path, monkeypatch, step):
    def full(table, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    def refuse(*_):
        raise OSError("disk full")

    if step == "write":
        monkeypatch.setattr(parquet.pq, "write_table", full)
    else:
        monkeypatch.setattr(os, "replace", refuse)
    source = memory()
    with pytest.raises(DataError, match=r"m\.parquet: the manifest cannot be written \(disk full\)"):
        write_manifest(source, make_splits(source, SIZES), tmp_path / "m.parquet", FACTS)
    assert [p.name for p in tmp_path.iterdir()] == []
