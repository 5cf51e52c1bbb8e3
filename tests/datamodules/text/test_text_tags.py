"""TagVector against scikit-learn, and vocabulary files as they circulate."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from datamodules.source import DataError
from datamodules.text import TagVector
from datamodules.text.tags import indicators, parse_vocabulary, read_vocabulary

TAGS = [["sky", "c++", "x"], [], ["SKY", "sky"], ["café", "2007", "sky", "c++"], ["unknown"]]
WORDS = ["x", "c++", "sky", "2007", "café", "nobody"]


@pytest.fixture
def vocabulary(tmp_path):
    def write(data):
        path = tmp_path / "common_tags.txt"
        path.write_bytes(data)
        return path

    return write


def test_agrees_with_scikit_learn(texts, vocabulary):
    path = vocabulary("\n".join(WORDS).encode())
    found = TagVector(str(path)).encode(texts(tags=TAGS))
    reference = CountVectorizer(vocabulary=WORDS, analyzer=str.split, binary=True)
    assert scipy.sparse.issparse(found)
    assert found.dtype == np.float32
    assert (found.toarray() == reference.transform(" ".join(tags) for tags in TAGS).toarray()).all()
    assert found.toarray().tolist() == [
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]


@settings(max_examples=100, deadline=None)
@given(
    tags=st.lists(st.lists(st.text(max_size=3), max_size=4), min_size=1, max_size=5),
    words=st.lists(st.text(min_size=1, max_size=2), min_size=1, max_size=6, unique=True),
)
def test_any_character_agrees_with_scikit_learn(tags, words):
    joined = [" ".join(row) for row in tags]
    found = indicators([text.split() for text in joined], words)
    reference = CountVectorizer(vocabulary=words, analyzer=str.split, binary=True).transform(joined)
    assert (found.toarray() == reference.toarray()).all()


@pytest.mark.parametrize(
    "data",
    [
        b"harbour\nmacro\n2007",
        b"harbour\r\nmacro\r\n2007\r\n",
        b"harbour 41\nmacro 39\n2007 20\n\n",
        b"\xef\xbb\xbfharbour\t41\r\nmacro  39  \r\n2007 20\r\n\r\n",
    ],
)
def test_vocabulary_files(vocabulary, data):
    assert read_vocabulary(vocabulary(data)) == ["harbour", "macro", "2007"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"sky\nnew york\n", "line 2: expected a word, or a word and its count, found 'new york'"),
        (b"sky\n\nsea\n", "line 2: expected a word"),
        (b"sky\nsea\nsky\n", "line 3: 'sky' stands on line 1 already"),
        (b"sky\ncaf\xe9\n", "line 2: not UTF-8"),
        (b"", "line 1: expected a word"),
    ],
)
def test_damaged_vocabularies_name_the_line(vocabulary, data, message):
    path = vocabulary(data)
    with pytest.raises(DataError) as caught:
        read_vocabulary(path)
    assert str(caught.value).startswith(f"{path} {message}")


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=40))
def test_any_bytes_give_words_or_a_data_error(data):
    try:
        words = parse_vocabulary(data, "vocabulary")
    except DataError:
        return
    assert words == [line.split()[0] for line in data.decode("utf-8-sig").rstrip().split("\n")]


def test_the_most_frequent_tags_of_the_database(texts):
    tags = [["query"], ["query"], ["query"], ["b", "a", "b"], ["c", "b"], ["c", "d"], ["a"]]
    source = texts(tags=tags, database=[3, 4, 5, 6])
    found = TagVector(size=3).encode(source)  # a, b and c are on two items each, d on one
    assert found.toarray()[3:].tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]]
    assert not found[:3].nnz
    assert TagVector(size=9).encode(source).shape == (7, 4)


def test_errors(texts, vocabulary, tmp_path):
    with pytest.raises(DataError, match="either vocabulary"):
        TagVector()
    with pytest.raises(DataError, match="either vocabulary"):
        TagVector("file", 3)
    with pytest.raises(DataError, match="size=0: expected at least 1"):
        TagVector(size=0)
    with pytest.raises(DataError, match="has no tags"):
        TagVector(size=3).encode(texts(captions=[["a sky"], []]))
    with pytest.raises(DataError, match=r"no tag of .* is among its 1 words"):
        TagVector(str(vocabulary(b"sea"))).encode(texts(tags=[["sky"]]))
    with pytest.raises(DataError, match=r"none\.txt: the vocabulary cannot be read"):
        TagVector(str(tmp_path / "none.txt")).encode(texts(tags=[["sky"]]))


def test_another_vocabulary_is_another_cache_entry(texts, vocabulary, tmp_path):
    source = texts(tags=TAGS)
    path = vocabulary(b"sky\nx")
    features = TagVector(str(path))
    assert features.table(source, tmp_path / "cache")[0].tolist() == [1, 1]
    vocabulary(b"x\nunknown\ncaf\xc3\xa9")
    assert features.table(source, tmp_path / "cache")[0].tolist() == [1, 0, 0]
