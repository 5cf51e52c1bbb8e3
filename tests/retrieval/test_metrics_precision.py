"""Precision, precision-recall, explicit rankings and chance level, against loops and enumeration."""

import itertools

import numpy as np
import pytest
import torch

from lightning_modules.retrieval.metrics import (
    DistanceHistograms,
    average_precisions,
    chance_average_precisions,
    chance_histograms,
    distance_histograms,
    expected_precisions,
    precision_recall_curve,
    precisions,
    precisions_within_radius,
    ranked_average_precisions,
    ranked_precisions,
    ranked_relevance,
    top_n,
)


def make_data(queries=11, items=130, bits=12, classes=4, seed=3):
    rng = np.random.default_rng(seed)
    query, codes = (torch.from_numpy(rng.choice([-1, 1], (n, bits)).astype(np.int8)) for n in (queries, items))
    labels, given = (torch.from_numpy((rng.random((n, classes)) < 0.3).astype(np.uint8)) for n in (queries, items))
    labels[:, 0] |= labels.sum(1) == 0
    return query, labels, codes, given


def sorted_by_distance_and_index(query, codes):
    distance = (query.int()[:, None] != codes.int()[None]).sum(2).tolist()
    return [sorted((d, i) for i, d in enumerate(row)) for row in distance]


def test_top_n_breaks_ties_by_database_index():
    query, _, codes, _ = make_data(items=300)
    indices, distances = top_n(query, codes, 40)
    expected = [row[:40] for row in sorted_by_distance_and_index(query, codes)]
    assert indices.tolist() == [[i for _, i in row] for row in expected]
    assert distances.tolist() == [[d for d, _ in row] for row in expected]


def test_top_n_on_long_codes():
    query, _, codes, _ = make_data(items=50, bits=200)
    assert top_n(query, codes, 50)[1].tolist() == [
        [d for d, _ in r] for r in sorted_by_distance_and_index(query, codes)
    ]


@pytest.mark.parametrize("n", [0, 131])
def test_top_n_checks_its_length(n):
    query, _, codes, _ = make_data()
    with pytest.raises(ValueError, match=f"n must be in 1..130, the size of the database, got {n}"):
        top_n(query, codes, n)
    with pytest.raises(ValueError, match="queries have 12 bits but the database has 5"):
        top_n(query, codes[:, :5], 1)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_ranked_relevance(chunk):
    query, labels, codes, given = make_data()
    shared = (labels.int() @ given.int().T > 0).tolist()
    order = sorted_by_distance_and_index(query, codes)
    expected = [[shared[q][i] for _, i in row] for q, row in enumerate(order)]
    parts = list(ranked_relevance(query, labels, codes, given, chunk=chunk))
    assert np.concatenate([relevant for _, relevant in parts]).tolist() == expected
    assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == list(range(11))


@pytest.mark.parametrize(("kind", "k"), [("full", None), ("truncated", 15), ("first_hits", 6)])
def test_index_ties_score_the_explicit_ranking(kind, k):
    data = make_data()
    relevant = np.concatenate([part for _, part in ranked_relevance(*data)])
    values = average_precisions(*data, kind=kind, k=k, ties="index")
    assert torch.equal(values, ranked_average_precisions(relevant, kind, k))
    assert (values - average_precisions(*data, kind=kind, k=k)).abs().max() > 1e-3  # ties matter here


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 7, 50])
def test_expected_precision_equals_enumeration(n):
    groups = [(2, 1), (0, 0), (4, 3), (1, 0)]
    orders = [
        [[i in chosen for i in range(size)] for chosen in itertools.combinations(range(size), relevant)]
        for size, relevant in groups
    ]
    rankings = np.array([list(itertools.chain(*order)) for order in itertools.product(*orders)])
    size, relevant = torch.tensor(groups).T.unsqueeze(1)
    value = expected_precisions(DistanceHistograms(size, relevant), n).item()
    assert value == pytest.approx(rankings[:, :n].mean(axis=1).mean(), abs=1e-15)
    assert ranked_precisions(rankings, n).mean().item() == pytest.approx(value, abs=1e-15)


def test_precisions_by_both_rules():
    query, labels, codes, given = data = make_data()
    shared = labels.int() @ given.int().T > 0
    by_index = shared.gather(1, top_n(query, codes, 10)[0]).double().mean(1)
    assert torch.equal(precisions(*data, n=10, ties="index"), by_index)
    assert torch.equal(precisions(*data, n=10), expected_precisions(distance_histograms(*data), 10))
    assert torch.equal(precisions(*data, n=130, ties="index"), precisions(*data, n=130))


@pytest.mark.parametrize("unretrieved", ["zero", "skip"])
def test_precision_recall_curve_equals_loops(unretrieved):
    query, labels, codes, given = make_data(bits=16)
    labels[4] = 0  # no relevant item
    distance = (16 - query.int() @ codes.int().T) // 2
    shared = labels.int() @ given.int().T > 0
    histograms = distance_histograms(query, labels, codes, given)
    for empty, queries in (("zero", range(11)), ("skip", [q for q in range(11) if q != 4])):
        curve = precision_recall_curve(histograms, empty, unretrieved)
        for radius in range(17):
            precision, recall = [], []
            for q in queries:
                near = distance[q] <= radius
                hits = int((near & shared[q]).sum())
                if near.any() or unretrieved == "zero":
                    precision.append(hits / max(int(near.sum()), 1))
                recall.append(hits / max(int(shared[q].sum()), 1))
            expected = np.mean(precision) if precision else np.nan
            assert curve.precision[radius].item() == pytest.approx(expected, abs=1e-14, nan_ok=True)
            assert curve.recall[radius].item() == pytest.approx(np.mean(recall), abs=1e-14)
    assert distance.min() > 0  # radius 0 retrieves nothing, so that the policies differ


def test_precision_within_a_radius():
    histograms = DistanceHistograms(
        torch.tensor([[1, 2, 1, 6], [0, 0, 0, 5], [1, 1, 1, 1]]),
        torch.tensor([[1, 0, 1, 6], [0, 0, 0, 5], [0] * 4]),
    )
    values = precisions_within_radius(histograms, 2).tolist()
    assert values[:2] == [0.5, 0.0]
    assert np.isnan(values[2])
    with pytest.raises(ValueError, match=r"radius must be in 0\.\.3 for 3 bits, got 4"):
        precisions_within_radius(histograms, 4)


def test_bad_options_are_refused():
    histograms = distance_histograms(*make_data())
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        expected_precisions(histograms, 0)
    with pytest.raises(ValueError, match="the database is empty"):
        expected_precisions(DistanceHistograms(torch.zeros(1, 3).long(), torch.zeros(1, 3).long()), 1)
    with pytest.raises(ValueError, match="unretrieved must be zero or skip, got 'one'"):
        precision_recall_curve(histograms, unretrieved="one")
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        next(ranked_relevance(*make_data(), chunk=0))


def test_chance_level_of_a_tiny_database_by_enumeration():
    """Two of four items are relevant: the six places they can take, averaged by hand."""
    labels = torch.tensor([[1, 0]])
    given = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 1]])
    places = itertools.combinations(range(1, 5), 2)
    expected = np.mean([(1 / first + 2 / second) / 2 for first, second in places])
    assert chance_average_precisions(labels, given).item() == pytest.approx(expected, abs=1e-15)
    assert chance_average_precisions(labels, given, "truncated", 1).item() == pytest.approx(0.5, abs=1e-15)
    assert expected_precisions(chance_histograms(labels, given), 3).item() == pytest.approx(0.5, abs=1e-15)


@pytest.mark.parametrize(("kind", "k"), [("full", None), ("truncated", 25), ("first_hits", 10)])
def test_chance_level_is_what_random_codes_reach(kind, k):
    _, labels, _, given = make_data(queries=6, items=120)
    rng = np.random.default_rng(0)
    shared = (labels.int() @ given.int().T > 0).numpy()
    draws = torch.stack([ranked_average_precisions(shared[:, rng.permutation(120)], kind, k) for _ in range(3000)])
    errors = draws.std(0) / 3000**0.5
    assert errors.max() < 0.004
    assert ((chance_average_precisions(labels, given, kind, k) - draws.mean(0)).abs() < 4.5 * errors).all()
