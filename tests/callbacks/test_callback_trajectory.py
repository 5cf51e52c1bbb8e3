"""PurificationTrajectory: the chain of the first query, under its id."""

import numpy as np

from callbacks import PurificationTrajectory
from lightning_modules.defences import NoDefence
from lightning_modules.pictures import trajectory
from tests.callbacks.stub import SIDE, StubModule, WatchedDefence, as_array, images_of, make_outputs, run_test


def grey(level):
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def test_the_chain_of_the_first_query(tmp_path):
    defence = WatchedDefence()
    found = images_of(run_test(tmp_path, PurificationTrajectory(columns=3), StubModule(defence)), "trajectory/")
    assert set(found) == {"a"}
    # States t = 0, 2, 4 of five, mapped from [-1, 1] to 0 .. 255.
    expected = trajectory([as_array(make_outputs("abc").attacked[0]), grey(0), grey(128), grey(255)])
    assert np.array_equal(found["a"], expected)
    assert defence.seen == ("a",)


def test_a_short_chain_is_shown_whole(tmp_path):
    found = images_of(run_test(tmp_path, PurificationTrajectory(), StubModule(WatchedDefence())), "trajectory/")
    expected = trajectory([as_array(make_outputs("abc").attacked[0]), *map(grey, (0, 64, 128, 191, 255))])
    assert np.array_equal(found["a"], expected)


def test_nothing_is_shown_of_a_defence_without_a_chain(tmp_path):
    for name, defence in (("none", None), ("plain", NoDefence())):
        events = run_test(tmp_path / name, PurificationTrajectory(), StubModule(defence))
        assert events.Tags()["images"] == []
