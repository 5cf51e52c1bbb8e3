"""DSH against two loops over its pairs."""

import pytest
import torch

from lightning_modules.hashing.losses import DSHLoss
from lightning_modules.hashing.losses.batch_loss import mean_over_others
from lightning_modules.hashing.losses.dsh import contrastive_pairs
from tests.hashing.loss_problems import BITS, ITEMS, check_gradient, make_batch, make_problem


def looped_loss(codes, labels, margin, regulariser):
    """Mean over ordered pairs of different items."""
    total, pairs = 0.0, 0
    for i, (u, label) in enumerate(zip(codes, labels, strict=True)):
        for j, (v, other) in enumerate(zip(codes, labels, strict=True)):
            if i != j:
                distance = sum((a - b) ** 2 for a, b in zip(u, v, strict=True))
                similar = any(a and b for a, b in zip(label, other, strict=True))
                total += 0.5 * (distance if similar else max(margin - distance, 0.0))
                total += regulariser * sum(abs(abs(a) - 1) for a in u + v)
                pairs += 1
    return total / pairs


@pytest.mark.parametrize("rows", [[0, 3], list(range(ITEMS))])
def test_loss_is_the_formula(rows):
    labels, codes = make_problem()
    loss, rows = DSHLoss(regulariser=0.2, margin=1.5), torch.tensor(rows)
    values = loss({"image": loss.relax(2 * codes[rows].float(), 0)}, make_batch(rows, labels))
    expected = looped_loss((2 * codes[rows]).tolist(), labels[rows].tolist(), 1.5 * BITS, 0.2)
    assert values.shape == (len(rows),)
    assert values.mean().item() == pytest.approx(expected, rel=1e-5)


def test_gradient():
    labels, codes = make_problem(1)
    similarity = (labels.double() @ labels.double().T > 0).double()
    check_gradient(lambda u: mean_over_others(contrastive_pairs(u, similarity, 4.0)), codes)


def test_codes_that_are_further_apart_than_the_margin_feel_nothing():
    u = torch.tensor([[1.0] * BITS, [-1.0] * BITS], requires_grad=True)  # distance 4K, margin 2K
    labels = torch.eye(2, dtype=torch.uint8)
    values = DSHLoss()({"image": u}, make_batch(torch.arange(2), labels))
    values.sum().backward()
    assert values.tolist() == [0, 0]
    assert torch.equal(u.grad, torch.zeros_like(u))


def test_a_batch_of_one_has_no_pairs():
    labels, codes = make_problem()
    values = DSHLoss()({"image": codes[:1]}, make_batch(torch.tensor([0]), labels))
    assert values.tolist() == [0]


def test_codes_are_bounded_on_demand_only():
    logits = torch.tensor([[3.0, -0.5]])
    assert torch.equal(DSHLoss().relax(logits, 0), logits)
    assert torch.equal(DSHLoss(tanh=True).relax(logits, 0), logits.tanh())
