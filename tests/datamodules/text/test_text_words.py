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


def test_sequences_of_characters(texts):
    captions = [["猫在海边"], ["海边 的猫"], []]
    found, grams = BagOfWords(longest=2, characters=True).fit(texts(captions))
    assert grams == sorted({"猫", "在", "海", "边", " ", "的", "猫在", "在海", "海边", "边 ", " 的", "的猫"})
    for row, text in enumerate(("猫在海边", "海边 的猫", "")):
        assert found.toarray()[row].tolist() == [text.count(gram) for gram in grams]


def test_tf_idf_by_its_formula(texts):
    found, words = BagOfWords(tf_idf=True).fit(texts(CAPTIONS, database=DATABASE))
    counts = np.array(_counts(words), dtype=float)
    idf = np.log((1 + len(DATABASE)) / (1 + (counts[DATABASE] > 0).sum(axis=0))) + 1
    weighted = counts * idf
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    np.testing.assert_allclose(found.toarray(), weighted / np.where(length > 0, length, 1), rtol=1e-6)


def test_topics_of_characters(texts):
    captions = [["猫猫狗狗"], ["猫狗"], ["海海边边"], ["海边"], []]
    topics = LatentTopics(2, stop_words=None, characters=True).encode(texts(captions))
    assert topics[:2].argmax(axis=1).tolist() == [topics[0].argmax()] * 2
    assert topics[2:4].argmax(axis=1).tolist() == [topics[2].argmax()] * 2
    assert topics[0].argmax() != topics[2].argmax()


@pytest.mark.parametrize("options", [{"longest": 0}, {"characters": True, "stop_words": "english"}])
def test_options_of_sequences(options):
    with pytest.raises(DataError, match="BagOfWords"):
        BagOfWords(**options)
