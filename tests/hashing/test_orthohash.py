"""OrthoHash against a loop over its formula."""

import math

import pytest
import torch

from lightning_modules.hashing.losses import OrthoHashLoss
from lightning_modules.hashing.losses.orthohash import margin_cosine_logits
from lightning_modules.hashing.losses.soft_labels import soft_cross_entropy
from tests.hashing.loss_problems import ITEMS, check_gradient, make_batch, make_problem, set_up


def looped_loss(codes, labels, centres, scale, margin):
    """Mean over items of -sum_c y_c / |y| log softmax(s (cos(v, o_c) - m y_c)); 0 without a class."""
    total = 0.0
    for v, label in zip(codes, labels, strict=True):
        length = math.sqrt(sum(a * a for a in v)) * math.sqrt(len(v))
        logits = [
            scale * (sum(a * b for a, b in zip(v, o, strict=True)) / length - margin * y)
            for o, y in zip(centres, label, strict=True)
        ]
        log_sum = math.log(sum(map(math.exp, logits)))
        total -= sum(y * (z - log_sum) for y, z in zip(label, logits, strict=True)) / max(sum(label), 1)
    return total / len(codes)


@pytest.mark.parametrize("rows", [[0], [3], list(range(ITEMS))])
def test_loss_is_the_formula(rows):
    labels, codes = make_problem()
    loss, rows = set_up(OrthoHashLoss(scale=5.0, margin=0.3), labels), torch.tensor(rows)
    values = loss({"image": loss.relax(codes[rows].float(), 0)}, make_batch(rows, labels))
    expected = looped_loss(codes[rows].tolist(), labels[rows].tolist(), loss.centres.tolist(), 5.0, 0.3)
    assert values.shape == (len(rows),)
    assert values.mean().item() == pytest.approx(expected, rel=1e-5)


def test_gradient():
    labels, codes = make_problem(1)
    centres = codes[:4].sign()

    def total(v):
        return soft_cross_entropy(margin_cosine_logits(v, centres, labels, 8.0, 0.2), labels)

    check_gradient(total, codes)


def test_an_item_without_a_class_has_neither_loss_nor_gradient():
    labels, codes = make_problem()
    v = codes[:1].float().requires_grad_()
    (value,) = set_up(OrthoHashLoss(), labels)({"image": v}, make_batch(torch.tensor([0]), labels))
    value.backward()
    assert value.item() == 0
    assert torch.equal(v.grad, torch.zeros_like(v))


def test_only_the_direction_counts():
    labels, codes = make_problem(2)
    loss, batch = set_up(OrthoHashLoss(), labels), make_batch(torch.arange(ITEMS), labels)
    torch.testing.assert_close(loss({"image": codes}, batch), loss({"image": 7 * codes}, batch))
    assert torch.isfinite(loss({"image": torch.zeros_like(codes)}, batch)).all()
