"""The L2 form of "DPH" against two Python loops over its formula."""

import pytest
import torch

from lightning_modules.hashing.losses import DPHL2Loss
from lightning_modules.hashing.losses.dph_l2 import product_regression
from tests.hashing.loss_problems import BITS, ITEMS, check_gradient, make_batch, make_problem, set_up


def looped_loss(codes, memory, labels, all_labels):
    """(1 / N b) sum_ij (u_i . U_j / K - (2 S_ij - 1))^2, from lists of floats."""
    total = 0.0
    for u, label in zip(codes, labels, strict=True):
        for other, other_label in zip(memory, all_labels, strict=True):
            sign = 1 if any(a and b for a, b in zip(label, other_label, strict=True)) else -1
            total += (sum(a * b for a, b in zip(u, other, strict=True)) / len(u) - sign) ** 2
    return total / (len(memory) * len(codes))


@pytest.mark.parametrize("rows", [[3], [0, 5, 2], list(range(ITEMS))])
def test_loss_is_the_formula(rows):
    labels, codes = make_problem()
    loss = set_up(DPHL2Loss(), labels)
    first, rows = torch.tensor([1, 2]), torch.tensor(rows)
    loss({"image": -codes[first].float()}, make_batch(first, labels))
    values = loss({"image": codes[rows].float()}, make_batch(rows, labels))
    memory = torch.zeros(ITEMS, BITS, dtype=torch.float64)
    memory[first] = -codes[first]
    memory[rows] = codes[rows]
    expected = looped_loss(*(part.tolist() for part in (codes[rows], memory, labels[rows], labels)))
    assert values.shape == (len(rows),)
    assert values.mean().item() == pytest.approx(expected, rel=1e-5)


def test_gradient():
    labels, codes = make_problem(1)
    similarity = (labels.double() @ labels.double().T > 0).double()
    check_gradient(lambda u: product_regression(u, codes.flip(0), similarity), codes)


def test_an_empty_memory_gives_one():
    _, codes = make_problem()
    values = product_regression(codes, torch.zeros_like(codes), torch.ones(ITEMS, ITEMS).double())
    assert torch.equal(values, torch.ones(ITEMS).double())


def test_perfect_codes_give_zero():
    u = torch.ones(2, BITS)
    values = product_regression(u, torch.stack([u[0], -u[0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert torch.equal(values, torch.zeros(2))


def test_items_without_a_class_are_similar_to_nothing():
    labels = torch.zeros(2, 3, dtype=torch.uint8)
    u = torch.full((2, BITS), 0.5)
    values = set_up(DPHL2Loss(), labels)({"image": u}, make_batch(torch.arange(2), labels))
    torch.testing.assert_close(values, torch.full((2,), 1.25**2))
