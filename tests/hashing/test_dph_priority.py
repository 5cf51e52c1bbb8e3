"""Deep Priority Hashing against loops over its formulas."""

import math

import pytest
import torch

from lightning_modules.hashing.losses import DPHPriorityLoss
from lightning_modules.hashing.losses.dph_priority import balance_weights, log_cosh_quantisation, pair_priorities
from tests.hashing.loss_problems import BITS, ITEMS, check_gradient, make_batch, make_problem


def looped_loss(codes, labels, gamma, quantisation):
    """sum w (q / mean q) (softplus(theta) - S theta) / sum w + quantisation / B sum log cosh(|u| - 1)."""
    pairs = [(i, j) for i in range(len(codes)) for j in range(len(codes)) if i != j]

    def product(i, j):
        return sum(a * b for a, b in zip(codes[i], codes[j], strict=True))

    def similar(i, j):
        return any(a and b for a, b in zip(labels[i], labels[j], strict=True))

    def priority(i, j):
        cosine = product(i, j) / math.sqrt(product(i, i) * product(j, j))
        cosine = min(max(cosine, -0.99), 0.99)
        return ((1 - cosine if similar(i, j) else 1 + cosine) / 2) ** gamma

    degree = [max(sum(similar(i, j) for j in range(len(codes)) if i != j), 1) for i in range(len(codes))]
    others = len(codes) - 1
    mean_priority = sum(priority(i, j) for i, j in pairs) / len(pairs)
    total = weights = 0.0
    for i, j in pairs:
        theta = 10 / len(codes[0]) * product(i, j)
        weight = math.sqrt(others / degree[i] * others / degree[j]) if similar(i, j) else 1.0
        error = math.log1p(math.exp(theta)) - similar(i, j) * theta
        total += weight * priority(i, j) / mean_priority * error
        weights += weight
    binary = sum(math.log(math.cosh(abs(a) - 1)) for u in codes for a in u) / len(codes)
    return total / weights + quantisation * binary


@pytest.mark.parametrize("gamma", [0.1, 2.0])
@pytest.mark.parametrize("rows", [[0, 3], [1, 2, 4, 6], list(range(ITEMS))])
def test_loss_is_the_formula(rows, gamma):
    labels, codes = make_problem()
    rows = torch.tensor(rows)
    loss = DPHPriorityLoss(gamma=gamma, quantisation=0.3)
    values = loss({"image": codes[rows].float()}, make_batch(rows, labels))
    expected = looped_loss(codes[rows].tolist(), labels[rows].tolist(), gamma, 0.3)
    assert values.shape == (len(rows),)
    assert values.mean().item() == pytest.approx(expected, rel=1e-5)


def test_gradient_with_equal_priorities():
    labels, codes = make_problem(1)
    loss = DPHPriorityLoss(gamma=0.0, quantisation=0.3)
    check_gradient(lambda u: loss.of_batch(u, labels), codes)


def test_priorities_have_no_gradient():
    _, codes = make_problem()
    assert not pair_priorities(codes.requires_grad_(), torch.ones(ITEMS, ITEMS).double(), 0.1).requires_grad


def test_pairs_that_contradict_their_similarity_come_first():
    u = torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    similar = pair_priorities(u, torch.ones(3, 3), 1.0)
    assert similar[0].tolist() == pytest.approx([0.005, 0.005, 0.995])
    assert pair_priorities(u, torch.zeros(3, 3), 1.0)[0].tolist() == pytest.approx([0.995, 0.995, 0.005])


def test_rare_similar_pairs_weigh_more():
    similarity = torch.eye(5)
    similarity[0, 1] = similarity[1, 0] = 1
    weights = balance_weights(similarity, 1 - torch.eye(5))
    assert weights[0].tolist() == [0, 4, 1, 1, 1]


def test_quantisation_does_not_overflow():
    u = torch.tensor([[1.0, -1.0, 0.0, 500.0]])
    expected = math.log(math.cosh(1)) + 499 - math.log(2)
    assert log_cosh_quantisation(u).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_batches_without_pairs_or_classes_are_finite(count):
    u = torch.full((count, BITS), 0.5, requires_grad=True)
    labels = torch.zeros(count, 2, dtype=torch.uint8)
    values = DPHPriorityLoss()({"image": u}, make_batch(torch.arange(count), labels))
    values.sum().backward()
    assert torch.isfinite(values).all()
    assert torch.isfinite(u.grad).all()
