"""QueryPictures: one strip per query, under its id."""

import numpy as np
import pytest

from callbacks import QueryPictures
from lightning_modules.pictures import strip
from tests.callbacks.stub import as_array, images_of, make_outputs, run_test


@pytest.mark.parametrize(("count", "ids"), [(2, "ab"), (4, "abcd"), (9, "abcdef"), (0, "")])
def test_the_first_queries_are_shown_under_their_ids(tmp_path, count, ids):
    found = images_of(run_test(tmp_path, QueryPictures(count)), "queries/")
    assert set(found) == set(ids)
    for number, sample_id in enumerate(ids):
        outputs, row = make_outputs("abc" if number < 3 else "def", seed=number // 3), number % 3
        parts = [as_array(part[row]) for part in (outputs.original, outputs.attacked, outputs.defended)]
        assert np.array_equal(found[sample_id], strip(*parts))


def test_every_test_counts_anew(tmp_path):
    callback = QueryPictures(2)
    for folder in ("first", "second"):
        assert set(images_of(run_test(tmp_path / folder, callback), "queries/")) == {"a", "b"}


def test_nothing_happens_without_a_board(tmp_path):
    run_test(tmp_path, QueryPictures(), logger=False)
