"""BagOfWords and LatentTopics against counts made by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from datamodules.source import DataError
from datamodules.text import BagOfWords, LatentTopics

CAPTIONS = [
    ["unseen query words", "unseen again"],
    ["A dog on the beach. ", "the Dog runs\n"],
    [],
    ["red car, red road"],
    ["the car on a beach"],
    ["I"],
]
DATABASE = [1, 2, 3, 4, 5]


def _counts(words, binary=False):
    rows = []
    for sentences in CAPTIONS:
        found = Counter(" ".join(sentences).lower().replace(".", " ").replace(",", " ").split())
        rows.append([min(found[word], 1) if binary else found[word] for word in words])
    return rows


@pytest.mark.parametrize("binary", [False, True])
def test_counts_of_the_words_of_the_database(texts, binary):
    found, words = BagOfWords(binary=binary).fit(texts(CAPTIONS, database=DATABASE))
    assert words == ["beach", "car", "dog", "on", "red", "road", "runs", "the"]
    assert found.toarray().tolist() == _counts(words, binary)
    assert found.dtype == np.float32


def test_the_most_frequent_words_with_ties_by_name(texts):
    source = texts(CAPTIONS, database=DATABASE)
    assert BagOfWords(3).fit(source)[1] == ["beach", "car", "the"]  # of five words that occur twice
    assert BagOfWords(3, binary=True).fit(source)[1] == ["beach", "car", "on"]  # in two items each, as is "the"
    assert BagOfWords(1).fit(source)[1] == ["the"]
    assert BagOfWords(2, "english").fit(source)[1] == ["beach", "car"]
    assert BagOfWords(2, "english").encode(source).toarray().tolist() == _counts(["beach", "car"])


def test_tags_serve_where_there_are_no_captions(texts):
    source = texts(tags=[["sky", "sea"], ["sea"], []])
    assert BagOfWords().encode(source).toarray().tolist() == [[1, 1], [1, 0], [0, 0]]


def test_errors(texts):
    with pytest.raises(DataError, match="neither captions nor tags"):
        BagOfWords().encode(texts([[], ["  \n"]]))
    with pytest.raises(DataError, match="no database item has a word"):
        BagOfWords().encode(texts([["some words"], ["I"]], database=[1]))
    with pytest.raises(DataError, match="max_features=0"):
        BagOfWords(0)
    with pytest.raises(DataError, match="stop_words='german'"):
        BagOfWords(stop_words="german")
    with pytest.raises(DataError, match="topics=0"):
        LatentTopics(0)


def _two_subjects():
    sea, street = ["wave sand shell gull", "sand wave boat"], ["car road lamp bus", "bus road sign car"]
    return [sea, street] * 6 + [[]]


def test_topics_separate_subjects(texts):
    found = LatentTopics(2).encode(texts(_two_subjects()))
    assert found.shape == (13, 2)
    assert found.dtype == np.float32
    assert np.allclose(found[:12].sum(axis=1), 1, atol=1e-5)
    assert found[12].tolist() == [0, 0]
    main = found[:12].argmax(axis=1)
    assert (main[::2] == main[0]).all()
    assert (main[1::2] == 1 - main[0]).all()


def test_topics_are_seeded(texts):
    source = texts(_two_subjects())
    first, again, other = (LatentTopics(3, seed=seed).encode(source) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
