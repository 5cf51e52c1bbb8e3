"""The alpha schedule: its break points."""

import pytest

from lightning_modules.attacks.schedules import alpha_at

STAGES = {0: 0.1, 999: 0.1, 1000: 0.2, 1199: 0.2, 1200: 0.3, 1399: 0.3, 1400: 0.5, 1599: 0.5, 1600: 0.7, 1799: 0.7}
STAGES |= {1800: 1.0, 1999: 1.0, 5000: 1.0}


@pytest.mark.parametrize(("iteration", "alpha"), STAGES.items())
def test_absolute_break_points_do_not_move_with_the_budget(iteration, alpha):
    for budget in (500, 2000, 6000):
        assert alpha_at(iteration, budget, "absolute") == alpha


def test_p2p_stays_at_the_first_slope():
    assert {alpha_at(i, 500, "absolute") for i in range(500)} == {0.1}


@pytest.mark.parametrize("budget", [1, 7, 10, 100, 500, 2000, 4001])
def test_relative_break_points_are_shares_of_the_budget(budget):
    shares = [(0.5, 0.1), (0.6, 0.2), (0.7, 0.3), (0.8, 0.5), (0.9, 0.7), (1.1, 1.0)]
    for iteration in range(budget):
        (expected, *_) = [alpha for end, alpha in shares if iteration < end * budget - 1e-9]
        assert alpha_at(iteration, budget, "relative") == expected, iteration


def test_both_agree_at_the_published_budget():
    assert all(alpha_at(i, 2000, "relative") == alpha_at(i, 2000, "absolute") for i in range(2000))


def test_constant_is_one():
    assert {alpha_at(i, 100, "constant") for i in range(100)} == {1.0}


def test_unknown_kind():
    with pytest.raises(ValueError, match="alpha_schedule='linear'"):
        alpha_at(0, 10, "linear")
