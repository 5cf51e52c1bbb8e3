"""Average precision with and without ties, against exhaustive enumeration and other libraries."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom, nhypergeom
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import retrieval_average_precision

from lightning_modules.retrieval.metrics import (
    DistanceHistograms,
    apply_empty_policy,
    average_precisions,
    expected_average_precisions,
    mean_score,
    ranked_average_precisions,
)
from lightning_modules.retrieval.metrics.ties import harmonic_numbers, hit_count, hit_position

CONVENTIONS = [("full", None), *[(kind, k) for kind in ("truncated", "first_hits") for k in (1, 2, 3, 5, 50)]]
WORKED = [0, 0, 1, 0, 1, 1, 0, 0, 1, 0]


def oracle(relevance, kind, k):
    """Average precision of one ranking, in fractions, by the definitions."""
    total = sum(relevance)
    precisions, hits = [], 0
    for rank, relevant in enumerate(relevance, start=1):
        if kind == "truncated" and rank > k:
            break
        if relevant:
            hits += 1
            precisions.append(Fraction(hits, rank))
    if kind == "first_hits":
        precisions = precisions[: min(k, total)]
    return sum(precisions, Fraction(0)) / max(len(precisions), 1)


def enumerate_ties(groups, kind, k):
    """Mean of the oracle over all distinct orders within the groups ``[(size, relevant), ...]``."""
    orders = []
    for size, relevant in groups:
        places = itertools.combinations(range(size), relevant)
        orders.append([[int(i in chosen) for i in range(size)] for chosen in places])
    values = [oracle(list(itertools.chain(*order)), kind, k) for order in itertools.product(*orders)]
    return float(sum(values) / len(values))


def histograms(groups):
    size, relevant = torch.tensor(groups).T.unsqueeze(1)
    return DistanceHistograms(size, relevant)


@pytest.mark.parametrize(
    ("kind", "k", "expected"),
    [
        ("full", None, 0.419),
        ("first_hits", 2, 0.367),
        ("truncated", 2, 0.0),
        ("truncated", 5, 0.367),
        ("first_hits", 5, 0.419),
    ],
)
def test_worked_example(kind, k, expected):
    ranked = ranked_average_precisions(np.array([WORKED], bool), kind, k)
    without_ties = expected_average_precisions(histograms([(1, r) for r in WORKED]), kind, k)
    assert ranked.item() == pytest.approx(expected, abs=5e-4)
    assert without_ties.item() == pytest.approx(ranked.item(), abs=1e-15)


@pytest.mark.parametrize(("kind", "k"), CONVENTIONS)
@pytest.mark.parametrize(
    "groups",
    [
        [(6, 3)],
        [(1, 1)],
        [(4, 4), (3, 0)],
        [(2, 1), (0, 0), (4, 2), (1, 0), (3, 3)],
        [(5, 0), (5, 2), (2, 1)],
        [(3, 1), (3, 2), (3, 1)],
    ],
)
def test_expectation_equals_exhaustive_enumeration(groups, kind, k):
    value = expected_average_precisions(histograms(groups), kind, k).item()
    assert value == pytest.approx(enumerate_ties(groups, kind, k), abs=1e-14)


@pytest.mark.parametrize(("kind", "k"), [("full", None), ("truncated", 60), ("first_hits", 40)])
def test_expectation_equals_the_mean_over_random_tie_orders(kind, k):
    rng = np.random.default_rng(0)
    groups = [(20, 9), (70, 31), (300, 40), (110, 0)]
    orders = [np.arange(size) < relevant for size, relevant in groups]
    draws = np.stack([np.concatenate([rng.permutation(order) for order in orders]) for _ in range(6000)])
    values = ranked_average_precisions(draws, kind, k)
    error = values.std().item() / len(values) ** 0.5
    assert error < 0.002  # else the comparison would mean nothing
    assert expected_average_precisions(histograms(groups), kind, k).item() == pytest.approx(
        values.mean().item(), abs=4 * error
    )


@pytest.mark.parametrize(("kind", "k"), CONVENTIONS)
def test_explicit_rankings_follow_the_definitions(kind, k):
    relevance = np.random.default_rng(1).random((30, 17)) < 0.3
    relevance[:, 5] |= ~relevance.any(axis=1)
    values = ranked_average_precisions(relevance, kind, k).tolist()
    assert values == pytest.approx([float(oracle(row.tolist(), kind, k)) for row in relevance], abs=1e-14)


@pytest.mark.parametrize("ties", ["expected", "index"])
def test_without_ties_other_libraries_agree(ties):
    """A 64-bit code and 65 items at the distances 0..64 in random order."""
    rng = np.random.default_rng(2)
    query = torch.from_numpy(rng.choice([-1, 1], (1, 64)).astype(np.int8))
    distance = torch.from_numpy(rng.permutation(65))
    flips = 1 - 2 * (torch.arange(64) < distance[:, None]).to(torch.int8)
    relevant = torch.from_numpy(rng.random(65) < 0.4)
    labels = torch.stack([relevant, ~relevant], 1).to(torch.uint8)
    data = query, torch.tensor([[1, 0]]), query * flips, labels
    score = 65.0 - distance  # positive: torchmetrics drops targets whose score is not
    full = average_precisions(*data, ties=ties).item()
    assert full == pytest.approx(average_precision_score(relevant, score), abs=1e-12)
    truncated = average_precisions(*data, kind="truncated", k=20, ties=ties).item()
    assert truncated == pytest.approx(retrieval_average_precision(score, relevant, top_k=20).item(), abs=1e-6)


def test_scikit_learn_treats_ties_optimistically():
    """Why no library is the oracle for ties: one relevant and one irrelevant item at the same distance."""
    assert expected_average_precisions(histograms([(2, 1)])).item() == 0.75
    assert average_precision_score([0, 1], [1.0, 1.0]) == 0.5


def test_large_databases_lose_no_digits():
    """Two relevant items tied after 200,000 irrelevant ones, and a tie that fills a large database."""
    lonely = expected_average_precisions(histograms([(200_000, 0), (2, 2)])).item()
    assert lonely == pytest.approx(float(oracle([0] * 200_000 + [1, 1], "full", None)), rel=1e-9)
    size, relevant = 30_000, 7_000
    terms = np.arange(1, size + 1)
    direct = (relevant / size * (1 + (terms - 1) * (relevant - 1) / (size - 1)) / terms).sum() / relevant
    assert expected_average_precisions(histograms([(size, relevant)])).item() == pytest.approx(direct, rel=1e-12)


def test_cutoffs_beyond_everything_are_the_full_average():
    groups = [(50, 11), (3000, 800), (900, 17)]
    full = expected_average_precisions(histograms(groups)).item()
    for kind in ("truncated", "first_hits"):
        beyond = expected_average_precisions(histograms(groups), kind, 10_000).item()
        assert beyond == pytest.approx(full, rel=1e-12)


def test_harmonic_numbers_keep_what_rounding_took():
    sums, errors = harmonic_numbers(3000)
    exact = sum(Fraction(1, i) for i in range(1, 3001))
    assert abs(Fraction(sums[-1]) + Fraction(errors[-1]) - exact) < 2e-16
    assert abs(Fraction(sums[-1]) - exact) > 1e-14


def test_tie_distributions():
    for size, relevant in itertools.product(range(1, 7), range(0, 7)):
        if relevant > size:
            continue
        orders = list(itertools.combinations(range(1, size + 1), relevant))
        for draws in range(size + 1):
            found = [sum(place <= draws for place in order) for order in orders]
            values, probabilities = hit_count(size, relevant, draws)
            assert probabilities == pytest.approx([found.count(v) / len(orders) for v in values], abs=1e-14)
        for hit in range(1, relevant + 1):
            places = [order[hit - 1] for order in orders]
            values, probabilities = hit_position(size, relevant, hit)
            assert probabilities == pytest.approx([places.count(v) / len(orders) for v in values], abs=1e-14)


@pytest.mark.parametrize(("size", "relevant"), [(4000, 3), (4000, 1500), (4000, 3990), (300, 150)])
def test_tie_distributions_leave_out_nothing_that_counts(size, relevant):
    for draws in (1, 40, size // 2, size - 1):
        values, probabilities = hit_count(size, relevant, draws)
        exact = hypergeom(size, relevant, draws).pmf(np.arange(size + 1))
        assert np.delete(exact, values).sum() < 1e-16
        assert probabilities == pytest.approx(exact[values], rel=1e-8, abs=1e-18)
    for hit in {1, 2, relevant // 2, relevant}:
        values, probabilities = hit_position(size, relevant, hit)
        exact = nhypergeom(size, size - relevant, relevant + 1 - hit).pmf(np.arange(size + 1))  # from the end
        exact = exact[size - relevant - np.arange(size - relevant + 1)]  # irrelevant items before the hit
        assert np.delete(exact, values - hit).sum() < 1e-16
        assert probabilities == pytest.approx(exact[values - hit], rel=1e-8, abs=1e-18)


def test_tie_distributions_of_large_groups_have_the_known_means():
    count, probabilities = hit_count(150_000, 60_000, 5_000)
    assert (count * probabilities).sum() == pytest.approx(5_000 * 60_000 / 150_000, rel=1e-10)
    position, probabilities = hit_position(150_000, 60_000, 700)
    assert (position * probabilities).sum() == pytest.approx(700 * 150_001 / 60_001, rel=1e-10)


@pytest.mark.parametrize(("kind", "k"), CONVENTIONS)
def test_queries_without_relevant_items_are_undefined(kind, k):
    parts = DistanceHistograms(torch.tensor([[2, 3], [2, 3]]), torch.tensor([[0, 0], [1, 0]]))
    assert expected_average_precisions(parts, kind, k).isnan().tolist() == [True, False]
    ranked = ranked_average_precisions(np.array([[False, False], [True, False]]), kind, k)
    assert ranked.isnan().tolist() == [True, False]


def test_empty_policies():
    values = torch.tensor([0.5, torch.nan, 1.0], dtype=torch.float64)
    assert mean_score(apply_empty_policy(values, "zero")) == 0.5
    assert mean_score(apply_empty_policy(values, "skip")) == 0.75
    with pytest.raises(ValueError, match="query 1 has no relevant item in the database"):
        apply_empty_policy(values, "error")
    with pytest.raises(ValueError, match="query 42 has no relevant item"):
        apply_empty_policy(values, "error", torch.tensor([7, 42, 9]))
    with pytest.raises(ValueError, match="empty must be one of zero, skip, error, got 'drop'"):
        apply_empty_policy(values, "drop")


def test_the_mean_ignores_the_order_of_the_queries():
    values = torch.rand(1001, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 9
    assert len({mean_score(values[torch.randperm(1001)]) for _ in range(20)}) == 1


@pytest.mark.parametrize(
    ("kind", "k", "message"),
    [
        ("full", 5, "kind 'full' has no cut-off, got k = 5"),
        ("truncated", None, "kind 'truncated' needs a cut-off k of at least 1, got None"),
        ("truncated", 0, "at least 1, got 0"),
        ("first_hits", -3, "at least 1, got -3"),
        ("top", 5, "kind must be one of full, truncated, first_hits, got 'top'"),
    ],
)
def test_conventions_are_checked(kind, k, message):
    with pytest.raises(ValueError, match=message):
        expected_average_precisions(histograms([(2, 1)]), kind, k)
    with pytest.raises(ValueError, match=message):
        ranked_average_precisions(np.array([[True]]), kind, k)
