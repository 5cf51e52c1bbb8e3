"""The cache of text features: right for every row, and made again when anything it depends on changes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from datamodules.source import DataError
from datamodules.text import BagOfWords, TextFeatures, TextTable
from datamodules.text import base as text_base

CAPTIONS = [["one"], ["two two"], [], ["four"], ["five"]]


class Lengths(TextFeatures):
    """Number of letters and of blanks; counts its calls."""

    def __init__(self, sparse=False, lacking=0):
        self.sparse, self.lacking, self.calls = sparse, lacking, 0

    title = "lengths"

    def encode(self, source):
        self.calls += 1
        texts = [source.caption(row) or "" for row in range(len(source.ids) - self.lacking)]
        dense = np.array([[len(text), text.count(" "), 0] for text in texts], dtype=np.float64)
        return scipy.sparse.csc_matrix(dense) if self.sparse else dense


@pytest.mark.parametrize("sparse", [False, True])
def test_made_once_and_read_by_row(texts, tmp_path, sparse):
    features = Lengths(sparse)
    source = texts(CAPTIONS)
    for _ in range(2):
        table = features.table(source, tmp_path)
        assert isinstance(table, TextTable)
        assert table.width == 3
        assert table.zero_rows == 1
        assert [table[row].tolist() for row in range(5)] == [[3, 0, 0], [7, 1, 0], [0, 0, 0], [4, 0, 0], [4, 0, 0]]
        assert table[1].dtype == torch.float32
    assert features.calls == 1
    (file,) = (tmp_path / "text").iterdir()
    assert file.name.startswith("texts.v2-")
    assert file.suffix == (".npz" if sparse else ".npy")


def test_the_zero_rows_are_reported_once(texts, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(text_base, "rank_zero_info", said.append)
    for _ in range(2):
        Lengths().table(texts(CAPTIONS), tmp_path)
    assert said == ["lengths: 1 of 5 items have no feature, they stay zero"]


@pytest.mark.parametrize(
    "other",
    [
        {"captions": CAPTIONS[::-1], "ids": ["t4", "t3", "t2", "t1", "t0"]},  # the same items in another order
        {"captions": [*CAPTIONS[:4], ["fives"]]},
        {"captions": CAPTIONS, "ids": "abcde"},
    ],
)
def test_other_rows_are_another_cache_entry(texts, tmp_path, other):
    features = Lengths()
    features.table(texts(CAPTIONS), tmp_path)
    table = features.table(texts(**other), tmp_path)
    assert features.calls == 2
    assert [table[row][0].item() for row in range(5)] == [len("".join(text)) for text in other["captions"]]


def test_other_options_are_another_cache_entry(texts, tmp_path):
    for features in (Lengths(), Lengths(lacking=0, sparse=True)):
        features.table(texts(CAPTIONS), tmp_path)
    assert len(list((tmp_path / "text").iterdir())) == 2


def test_a_vocabulary_of_other_rows_is_another_cache_entry(texts, tmp_path):
    assert BagOfWords().table(texts(CAPTIONS), tmp_path).width == 4
    assert BagOfWords().table(texts(CAPTIONS, database=[0, 1]), tmp_path).width == 2


def test_a_wrong_number_of_rows_is_refused(texts, tmp_path):
    with pytest.raises(DataError, match="lengths: 4 rows of features for 5 items"):
        Lengths(lacking=1).table(texts(CAPTIONS), tmp_path)
    assert not (tmp_path / "text").exists()


@pytest.mark.parametrize("sparse", [False, True])
def test_a_damaged_cache_is_named(texts, tmp_path, sparse):
    Lengths(sparse).table(texts(CAPTIONS), tmp_path)
    (file,) = (tmp_path / "text").iterdir()
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DataError, match=f"{file.stem}.*cannot be read .*delete"):
        Lengths(sparse).table(texts(CAPTIONS), tmp_path)


def test_an_unwritable_folder_is_named(texts, tmp_path):
    (tmp_path / "text").write_text("no folder")
    with pytest.raises(DataError, match="text features cannot be written"):
        Lengths().table(texts(CAPTIONS), tmp_path)
