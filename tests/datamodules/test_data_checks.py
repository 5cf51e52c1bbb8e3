"""Build checks: each finds what it is for, names it, and is silent about anything else."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.checks import (
    Finding,
    check_labels,
    check_missing,
    check_overlap,
    check_sizes,
    check_training,
    count_items,
    in_order,
    protocol_sizes,
    run_checks,
)
from datamodules.splits import Splits, SplitSizes
from tests.datamodules.tinyset import TinyDataModule, tiny_module, write_tiny

IDS = tuple(f"id{row}" for row in range(10))


def make_splits(train=(2, 3), val=(4,), query=(0, 1), database=range(2, 10)):
    return Splits(*(np.array(list(rows), dtype=np.int64) for rows in (train, val, query, database)))


def test_sound_splits_give_no_finding():
    assert check_overlap(make_splits(), IDS, IDS) == []
    assert check_training(make_splits(), IDS) == []


def test_query_in_the_database_is_an_error():
    (found,) = check_overlap(make_splits(query=(0, 1, 7, 9)), IDS)
    assert found == Finding("error", "2 query items also in split 'database'", ("id7", "id9"))


def test_validation_item_among_the_training_items_is_an_error():
    (found,) = check_overlap(make_splits(val=(3, 4)), IDS)
    assert found == Finding("error", "1 val item also in split 'train'", ("id3",))


def test_same_photograph_under_two_ids_is_an_error():
    keys = ["p0", "p8", *(f"p{row}" for row in range(2, 10))]
    (found,) = check_overlap(make_splits(), IDS, keys)
    assert found == Finding("error", "1 query photograph also in the database under another id", ("id1",))
    keys[8] = "p88"
    assert check_overlap(make_splits(), IDS, keys) == []


def test_training_item_outside_the_database_is_an_error():
    (found,) = check_training(make_splits(train=(2, 1)), IDS)
    assert found == Finding("error", "1 train item outside the database", ("id1",))


def test_repeated_training_lines_are_counted():
    (found,) = check_training(make_splits(train=(5, 2, 5, 3, 2, 5)), IDS)
    assert found == Finding("note", "2 items repeated in the training list (3 extra lines)", ("id2", "id5"))


def check(labels, names=("a", "b"), splits=None):
    return check_labels(np.array(labels, dtype=np.uint8), names, IDS, splits or make_splits())


def test_full_labels_give_no_finding():
    assert check([[1, 1]] * 10) == []


@pytest.mark.parametrize("shape", [(10, 3), (9, 2)])
def test_labels_of_another_shape_are_an_error(shape):
    (found,) = check(np.ones(shape))
    assert found.level == "error"
    assert str(shape) in found.message
    assert "(10, 2)" in found.message


def test_labels_other_than_0_and_1_are_an_error():
    labels = [[1, 1]] * 9 + [[1, 2]]
    assert check(labels) == [Finding("error", "1 item with labels other than 0 and 1", ("id9",))]


@pytest.mark.parametrize(
    ("bare", "level", "who"),
    [
        ((3, 9), "note", "0 of the queries, 1 of the training items"),
        ((1, 9), "warning", "1 of the queries, 0 of the training items"),
    ],
)
def test_items_without_a_label_are_counted(bare, level, who):
    labels = [[0, 0] if row in bare else [1, 1] for row in range(10)]
    ids = tuple(f"id{row}" for row in bare)
    assert check(labels) == [Finding(level, f"2 items without a label, which no query finds ({who})", ids)]


def test_classes_without_an_item_are_named():
    labels = [[1, 1, 0]] * 2 + [[1, 0, 0]] * 8
    assert check(labels, ("a", "b", "c")) == [
        Finding("note", "2 classes of 3 without a database item", ("b", "c")),
        Finding("note", "1 class of 3 without a query item", ("c",)),
    ]


def test_missing_pictures_are_listed():
    assert check_missing({}) == []
    assert check_missing({"missing": "a/1.jpg\nb 2.jpg"}) == [
        Finding("warning", "2 pictures missing and left out", ("a/1.jpg", "b 2.jpg"))
    ]


def test_sizes_of_the_paper():
    protocol = TinyDataModule.protocols["uni"]
    assert protocol_sizes(protocol) == {"items": 14, "train": 6, "query": 3, "database": 11}
    here = {"items": 14, "train": 5, "val": 2, "query": 3, "database": 11}
    assert check_sizes(here, protocol, "tiny/uni") == [
        Finding("warning", "5 train items, the protocol tiny/uni has 6 (A. Author, 2020)")
    ]


def test_errors_come_first():
    mixed = [Finding(level, "x") for level in ("note", "error", "warning", "error")]
    assert [finding.level for finding in in_order(mixed)] == ["error", "error", "warning", "note"]


def test_all_checks_on_a_data_module(tmp_path):
    sizes = SplitSizes(query=4, train=6, val=2)
    module = tiny_module(write_tiny(tmp_path / "set"), tmp_path / "cache", splits=sizes)
    assert count_items(module) == {"items": 14, "database": 10, "train": 6, "val": 2, "query": 4}
    messages = [(finding.level, finding.message) for finding in run_checks(module)]
    assert ("warning", "4 query items, the protocol tiny/uni has 3 (A. Author, 2020)") in messages
    assert ("warning", "10 database items, the protocol tiny/uni has 11 (A. Author, 2020)") in messages
    (bare,) = [finding for finding in run_checks(module) if "without a label" in finding.message]
    assert bare.ids == ("im5",)
