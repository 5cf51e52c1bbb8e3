"""The split rule: who may be where, the same on every machine, and messages that name the option."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from datamodules.source import DataError
from datamodules.splits import Splits, SplitSizes, check_splits, make_splits, seeded_order

NAMES = ("train", "val", "query", "database")
SIZES = SplitSizes(query=6, val=5, train=8, database=17)


def _rows(*values):
    return np.array(values, dtype=np.int64)


def _chosen(source, sizes=SIZES, seed=0):
    splits = make_splits(source, replace(sizes, seed=seed))
    return {name: sorted(source.ids[row] for row in splits[name]) for name in NAMES}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shared", [False, True])
def test_sizes_membership_and_order(memory, shared, seed):
    splits = make_splits(memory(shared=shared), replace(SIZES, seed=seed))
    assert [len(splits[name]) for name in NAMES] == [8, 5, 6, 17]
    parts = {name: set(splits[name].tolist()) for name in NAMES}
    assert [len(parts[name]) for name in NAMES] == [8, 5, 6, 17]  # no row twice
    assert parts["train"] < parts["database"]
    assert not parts["query"] & parts["database"]
    assert parts["val"] < parts["database"]
    assert not parts["train"] & parts["val"]
    assert set(splits["val_database"].tolist()) == parts["database"] - parts["val"]
    for name in NAMES:
        assert splits[name].dtype == np.int64
        assert name == "train" or (np.diff(splits[name]) > 0).all()


def test_queries_come_from_their_pool_and_the_rest_from_the_other(memory):
    splits = make_splits(memory(count=40, queries=10), SIZES)
    assert splits.query.max() < 10
    assert min(splits.val.min(), splits.database.min()) >= 10


def test_a_second_network_takes_the_training_items_after_those_of_the_first(memory):
    source = memory(count=40, queries=10)
    sizes = SplitSizes(query=6, val=5, train=8, database=None)
    first, both = (make_splits(source, replace(sizes, train=count)) for count in (8, 14))
    second = make_splits(source, replace(sizes, train=6, train_skip=8))
    assert [*first.train, *second.train] == both.train.tolist()
    assert np.array_equal(second.val, first.val)
    assert np.array_equal(second.database, first.database)
    rest = make_splits(source, replace(sizes, train=None, train_skip=8))
    assert len(rest.train) == len(first.database) - 5 - 8


def test_none_takes_all_that_is_left(memory):
    splits = make_splits(memory(count=40, queries=10), SplitSizes(None, 5, None, None))
    assert splits.query.tolist() == list(range(10))
    assert len(splits.database) == 30
    assert np.array_equal(np.sort(splits.train), splits["val_database"])


def test_the_rule_is_sha256_of_seed_and_id(memory):
    source = memory(count=40, queries=10)

    def first(ids, count):
        return sorted(sorted(ids, key=lambda i: hashlib.sha256(f"7{i}".encode()).hexdigest())[:count])

    assert _chosen(source, seed=7)["query"] == first(source.ids[:10], 6)
    assert _chosen(source, seed=7)["val"] == first(source.ids[10:], 5)


def test_published_splits_stay_as_they_are(memory):
    # A change here makes every published number incomparable: it needs a new SPLIT_RULE.
    # From: for i in $(seq 0 9); do printf '0item-%03d' $i | sha256sum; done
    assert _chosen(memory(), seed=0)["query"] == [f"item-{n:03d}" for n in (0, 3, 4, 5, 6, 7)]


def test_order_of_nothing():
    assert seeded_order([], 0).tolist() == []


@pytest.mark.parametrize("shared", [False, True])
def test_row_order_on_disk_does_not_matter(memory, shared):
    expected = _chosen(memory(shared=shared), seed=3)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(40)
        assert _chosen(memory(shared=shared, order=order), seed=3) == expected


def test_the_seed_matters(memory):
    first, again, other = (_chosen(memory(), seed=seed) for seed in (0, 0, 1))
    assert first == again
    for name in NAMES:
        assert first[name] != other[name]


def test_more_queries_keep_the_earlier_ones(memory):
    few, many = (_chosen(memory(), SplitSizes(count, 5, 8, 17)) for count in (3, 6))
    assert set(few["query"]) < set(many["query"])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (SplitSizes(11, 5, 8, 17), "splits.query=11, but only 10 items are available for 'query'"),
        (SplitSizes(6, 31, 8, 30), "splits.val=31, but only 30 items are available for 'val'"),
        (SplitSizes(6, 5, 8, 31), "splits.database=31, but only 30 items are available for 'database'"),
        (SplitSizes(6, 5, 13, 17), "splits.train=13, but only 12 items are available for 'train'"),
        (SplitSizes(0, 5, 8, 17), "split 'query' is empty: raise splits.query"),
        (SplitSizes(6, 5, 0, 17), "split 'train' is empty: raise splits.train"),
        (SplitSizes(6, 0, None, 0), "split 'train' is empty: raise splits.train"),
        (SplitSizes(6, 30, None, None), "split 'train' is empty: raise splits.train"),
        (SplitSizes(-1, 5, 8, 17), "splits.query=-1: expected 0 or more"),
        (SplitSizes(6, -1, 8, 17), "splits.val=-1: expected 0 or more"),
        (SplitSizes(6, 5, 8, -2), "splits.database=-2: expected 0 or more"),
        (SplitSizes(6, 5, -3, 17), "splits.train=-3: expected 0 or more"),
        (SplitSizes(6, 5, 8, 17, train_skip=-1), "splits.train_skip=-1: expected 0 or more"),
        (SplitSizes(6, 5, 8, 17, train_skip=5), "splits.train=8, but only 7 items are available for 'train'"),
    ],
)
def test_impossible_sizes_name_their_option(memory, sizes, message):
    with pytest.raises(DataError) as caught:
        make_splits(memory(count=40, queries=10), sizes)
    assert str(caught.value).startswith(message)


def test_queries_that_take_everything_are_named(memory):
    with pytest.raises(DataError) as caught:
        make_splits(memory(shared=True), SplitSizes(None, 0, None, None))
    assert str(caught.value) == "splits.query=None takes all 40 items and leaves none for the database"


def test_no_validation_items_are_allowed(memory):
    splits = make_splits(memory(), SplitSizes(6, 0, 8, 12))
    assert splits.val.shape == (0,)
    assert len(splits.database) == 12


def test_check_accepts_good_splits():
    check_splits(Splits(_rows(3), _rows(4), _rows(0, 1), _rows(3, 4)), "abcde")


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (Splits(_rows(3, 1, 2), _rows(), _rows(0), _rows(3, 4)), "2 train items are not in the database: b, c"),
        (Splits(_rows(3), _rows(), _rows(0, 4), _rows(3, 4)), "1 query items are also in split 'database': e"),
        (Splits(_rows(3), _rows(3), _rows(0), _rows(3, 4)), "1 val items are also in split 'train': d"),
        (Splits(_rows(3), _rows(1, 2), _rows(0), _rows(3)), "2 val items are not in the database: b, c"),
        (
            Splits(_rows(7), _rows(), _rows(*range(8)), _rows(*range(8))),
            "8 query items are also in split 'database': a, b, c, d, e ...",
        ),
        (
            Splits(_rows(), _rows(), _rows(0), _rows(3)),
            "split 'train' is empty: raise splits.train",
        ),
        (
            Splits(_rows(3), _rows(), _rows(), _rows(3)),
            "split 'query' is empty: raise splits.query",
        ),
    ],
)
def test_check_names_the_offenders(splits, message):
    with pytest.raises(DataError) as caught:
        check_splits(splits, "abcdefgh")
    assert str(caught.value).removesuffix(" or check the source") == message


def test_unknown_split_is_a_key_error():
    with pytest.raises(KeyError, match="no split 'test': expected train, val, query, database or val_database"):
        Splits(_rows(), _rows(), _rows(), _rows())["test"]


# Photographs that two items show, and published training lists.


@pytest.mark.parametrize("seed", range(40))
def test_items_of_one_photograph_stay_on_one_side_of_the_query_cut(memory, seed):
    source = memory(shared=True)
    source.keys = tuple(f"photo-{row % 15}" for row in range(40))  # two or three items each
    source.keys = (*source.keys[:30], *(f"alone-{row}" for row in range(10)))
    splits = make_splits(source, SplitSizes(query=7, val=3, train=8, seed=seed))
    assert len(splits.query) == 7
    shown = {source.keys[row] for row in splits.query}
    assert not shown & {source.keys[row] for row in splits.database}


def test_keys_that_are_the_ids_change_nothing(memory):
    source = memory(shared=True)
    plain = make_splits(source, SIZES)
    source.keys = source.ids
    keyed = make_splits(source, SIZES)
    assert all(np.array_equal(plain[name], keyed[name]) for name in NAMES)


def test_a_published_training_list_keeps_its_order_and_repetitions(memory):
    source = memory(count=40, queries=10)
    source.train_pool = _rows(30, 12, 30, 17)
    splits = make_splits(source, SplitSizes(query=None, val=5, train=None, database=None))
    assert splits.train.tolist() == [30, 12, 30, 17]
    assert not set(splits.val.tolist()) & {30, 12, 17}
    assert len(splits.database) == 30


def test_a_training_list_of_the_whole_database_lends_the_validation_items(memory):
    source = memory(count=40, queries=10)
    source.train_pool = np.arange(10, 40)
    with pytest.warns(UserWarning, match="splits.val=5: only 0 database items are no training items"):
        splits = make_splits(source, SplitSizes(query=None, val=5, train=None, database=None))
    assert sorted([*splits.train, *splits.val]) == list(range(10, 40))
    assert len(splits.val) == 5
