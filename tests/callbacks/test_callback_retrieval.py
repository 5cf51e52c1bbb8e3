"""RetrievalLists: three ranked lists per query, under its id."""

import numpy as np

from callbacks import RetrievalLists
from lightning_modules.pictures import retrieval_list
from tests.callbacks.stub import StubModule, as_array, images_of, make_outputs, run_test

KINDS = ["hit", "target", "both", "miss"]  # of the stub's database, for query class 0 and target class 1


def test_lists_of_the_first_queries(tmp_path):
    module, outputs = StubModule(), make_outputs("abc")
    found = images_of(run_test(tmp_path, RetrievalLists(count=2, depth=3), module), "retrieval/")
    assert set(found) == {"a", "b"}
    hits = [as_array(module.context.database_image(i)) for i in range(3)]
    for row, sample_id in enumerate("ab"):
        states = [outputs.original[row], outputs.attacked[row], outputs.defended[row]]
        lists = [retrieval_list(as_array(state), hits, KINDS[:3]) for state in states]
        assert np.array_equal(found[sample_id], np.concatenate(lists))
    assert len(module.asked) == 6


def test_only_the_first_step_is_shown(tmp_path):
    assert set(images_of(run_test(tmp_path, RetrievalLists(count=5)), "retrieval/")) == {"a", "b", "c"}


def test_nothing_is_ranked_without_a_board(tmp_path):
    module = StubModule()
    run_test(tmp_path, RetrievalLists(), module, logger=False)
    assert module.asked == []
