"""Every usual form of a label column to the same multi-hot matrix, and a name for every bad row."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Features, Sequence, Value

from datamodules.labels import multi_hot
from datamodules.source import DataError

NAMES = ["cat", "dog", "eel"]


def _read(values, feature):
    rows = datasets.Dataset.from_dict({"tag": values}, features=Features({"tag": feature}))
    return multi_hot(rows, "tag", rows.features["tag"], [f"train-{row}" for row in range(len(values))])


def _refused(values, feature):
    with pytest.raises(DataError) as caught:
        _read(values, feature)
    return str(caught.value)


ONE = [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0]]
MANY = [[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("values", "feature", "names", "expected"),
    [
        ([2, 0, 1, 0], ClassLabel(names=NAMES), NAMES, ONE),
        (["eel", "cat", "dog", "cat"], Value("string"), NAMES, ONE),
        (["eel", "cat", "dog", "cat"], Value("large_string"), NAMES, ONE),
        ([2, 0, 1, 0], Value("int64"), ["0", "1", "2"], ONE),
        ([2, 0, 1, 0], Value("uint8"), ["0", "1", "2"], ONE),
        ([True, False, True], Value("bool"), ["0", "1"], [[0, 1], [1, 0], [0, 1]]),
        ([3, 1], Value("int32"), ["0", "1", "2", "3"], [[0, 0, 0, 1], [0, 1, 0, 0]]),
        ([[0, 2], [], [1], [2, 1, 0]], Sequence(ClassLabel(names=NAMES)), NAMES, MANY),
        ([["eel", "cat"], [], ["dog"], ["dog", "eel", "cat"]], Sequence(Value("string")), NAMES, MANY),
        ([["eel", "eel"], ["dog"]], Sequence(Value("string")), ["dog", "eel"], [[0, 1], [1, 0]]),
        (MANY, Sequence(Value("int64")), ["0", "1", "2"], MANY),
        (MANY, Sequence(Value("int8"), length=3), ["0", "1", "2"], MANY),
        (MANY, Sequence(Value("float32")), ["0", "1", "2"], MANY),
        (np.array(MANY, dtype=bool).tolist(), Sequence(Value("bool")), ["0", "1", "2"], MANY),
    ],
)
def test_forms(values, feature, names, expected):
    labels, class_names = _read(values, feature)
    assert labels.dtype == np.uint8
    assert labels.tolist() == expected
    assert class_names == tuple(names)


def test_a_class_label_keeps_classes_that_no_row_has():
    labels, names = _read([1, 1], ClassLabel(names=NAMES))
    assert labels.tolist() == [[0, 1, 0], [0, 1, 0]]
    assert names == ("cat", "dog", "eel")


@pytest.mark.parametrize(
    ("values", "feature", "message"),
    [
        ([1, -1], ClassLabel(names=NAMES), "row train-1, column 'tag': class -1 marks an item without label, drop "),
        ([[1], [0, -1]], Sequence(ClassLabel(names=NAMES)), "row train-1, column 'tag': class -1 marks an item"),
        ([0, 1, -1], Value("int64"), "row train-2, column 'tag': class -1 marks an item without label"),
        ([0, -7], Value("int64"), "row train-1, column 'tag': class -7 is outside 0..0"),
        ([0, 1, None], ClassLabel(names=NAMES), "row train-2, column 'tag': the label is missing"),
        ([[0], None], Sequence(ClassLabel(names=NAMES)), "row train-1, column 'tag': the label is missing"),
        ([[0], [1, None]], Sequence(ClassLabel(names=NAMES)), "row train-1, column 'tag': the label is missing"),
        (["cat", None], Value("string"), "row train-1, column 'tag': the label is missing"),
        ([["cat"], None], Sequence(Value("string")), "row train-1, column 'tag': the label is missing"),
        ([["cat", None]], Sequence(Value("string")), "row train-0, column 'tag': the label is missing"),
        ([3, None], Value("int64"), "row train-1, column 'tag': the label is missing"),
        ([[0, 1], None], Sequence(Value("int64")), "row train-1, column 'tag': the label is missing"),
        ([[0, 1], [None, 1]], Sequence(Value("int64")), "row train-1, column 'tag': the label is missing"),
        ([[0, 1], [1, 1, 0]], Sequence(Value("int64")), "row train-1, column 'tag': 3 label entries, expected 2 as "),
        ([[0, 1], [0, 2]], Sequence(Value("int64")), "row train-1, column 'tag': a 0/1 label vector holds [0, 2]"),
        ([[0, 1], [0, 0.5]], Sequence(Value("float32")), "row train-1, column 'tag': a 0/1 label vector holds [0.0, 0"),
        ([], ClassLabel(names=NAMES), "column 'tag': the data set has no rows"),
        ([], Value("int64"), "column 'tag': the data set has no rows"),
        ([], Sequence(Value("int64")), "column 'tag': the data set has no rows"),
    ],
)
def test_bad_rows_are_named(values, feature, message):
    assert _refused(values, feature).startswith(message)


def test_a_class_out_of_range_is_named():
    # Arrow refuses it when a ClassLabel is encoded, but files written by others can hold it.
    rows = datasets.Dataset.from_dict({"tag": [0, 3]})
    with pytest.raises(DataError) as caught:
        multi_hot(rows, "tag", ClassLabel(names=NAMES), ["test-0", "test-1"])
    assert str(caught.value) == "row test-1, column 'tag': class 3 is outside 0..2"


@pytest.mark.parametrize(
    ("values", "feature"),
    [
        ([0.0, 1.5], Value("float32")),
        ([{"a": 1}], {"a": Value("int64")}),
        ([[[0, 1]]], Sequence(Sequence(Value("int64")))),
        ([b"cat"], Value("binary")),
    ],
)
def test_columns_that_are_no_labels_are_refused(values, feature):
    message = _refused(values, feature)
    assert message.startswith("column 'tag' holds ")
    assert "expected labels: ClassLabel, class numbers, class names" in message
