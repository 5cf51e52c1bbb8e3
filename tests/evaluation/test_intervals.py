"""Bootstrap intervals against theory and against simulated truth."""

import numpy as np
import pytest
import torch

from lightning_modules.evaluation import intervals
from lightning_modules.evaluation.intervals import bootstrap_interval, paired_difference_interval


def precisions(count, seed=0):
    return np.random.default_rng(seed).beta(2, 1, count)


def test_it_agrees_with_the_normal_approximation_on_many_queries():
    values = precisions(4000)
    half = 1.959964 * values.std(ddof=1) / np.sqrt(len(values))
    low, high = bootstrap_interval(values, resamples=4000)
    assert low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_it_covers_the_true_mean_as_often_as_it_says():
    covered = 0
    for trial in range(400):
        low, high = bootstrap_interval(precisions(80, seed=trial), seed=trial, resamples=400)
        covered += low <= 2 / 3 <= high
    assert 0.91 <= covered / 400 <= 0.98


def test_a_wider_level_contains_a_narrower_one():
    values = precisions(200)
    low, high = bootstrap_interval(values, level=0.5)
    wide_low, wide_high = bootstrap_interval(values, level=0.99)
    assert wide_low < low < values.mean() < high < wide_high


def test_seed_decides_and_chunks_do_not(monkeypatch):
    values = precisions(101)
    reference = bootstrap_interval(values, seed=3)
    assert reference == bootstrap_interval(values, seed=3)
    assert reference != bootstrap_interval(values, seed=4)
    monkeypatch.setattr(intervals, "CHUNK", 707)
    assert reference == bootstrap_interval(values, seed=3)
    monkeypatch.setattr(intervals, "CHUNK", 1)
    assert reference == bootstrap_interval(values, seed=3)


def test_tensors_are_taken_and_degenerate_samples_have_no_width():
    values = torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert bootstrap_interval(values) == bootstrap_interval(values.numpy())
    assert bootstrap_interval([0.25]) == (0.25, 0.25)
    assert bootstrap_interval(np.full(7, 0.1)) == (0.1, 0.1)


def test_pairing_removes_what_both_systems_share():
    hard = precisions(300)
    better = (hard + 0.02 + np.random.default_rng(9).normal(0, 0.01, 300)).clip(0, 1.2)
    low, high = paired_difference_interval(better, hard)
    assert 0 < low < 0.02 < high < 0.03
    alone = bootstrap_interval(better), bootstrap_interval(hard)
    assert alone[0][0] < alone[1][1], "unpaired, the two cannot be told apart"
    back_low, back_high = paired_difference_interval(hard, better)
    assert (back_low, back_high) == pytest.approx((-high, -low), abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"values": []}, r"Q > 0"),
        ({"values": [[0.1]]}, r"\(1, 1\)"),
        ({"values": [0.1, np.nan]}, "finite"),
        ({"values": [0.1], "resamples": 0}, "resamples"),
        ({"values": [0.1], "level": 1.0}, "level"),
    ],
)
def test_wrong_input_is_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        bootstrap_interval(**arguments)


def test_pairs_need_the_same_queries():
    with pytest.raises(ValueError, match="same queries"):
        paired_difference_interval([0.1, 0.2], [0.1])
