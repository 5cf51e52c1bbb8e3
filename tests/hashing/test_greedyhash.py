"""GreedyHash against a loop over its formula."""

import math

import pytest
import torch

from lightning_modules.hashing.losses import GreedyHashLoss
from lightning_modules.hashing.losses.greedyhash import cubic_penalty
from lightning_modules.hashing.losses.straight_through import straight_through_sign
from tests.hashing.loss_problems import BITS, CLASSES, ITEMS, check_gradient, make_batch, make_problem, set_up


def looped_loss(logits, labels, weight, penalty, classification):
    """Classification error of W sign(h) plus the penalty, mean over items."""
    total = 0.0
    for h, label in zip(logits, labels, strict=True):
        signs = [1 if x >= 0 else -1 for x in h]
        classes = [sum(w * b for w, b in zip(row, signs, strict=True)) for row in weight]
        if classification == "softmax":
            log_sum = math.log(sum(map(math.exp, classes)))
            total -= sum(y * (z - log_sum) for y, z in zip(label, classes, strict=True)) / max(sum(label), 1)
        else:
            errors = [math.log1p(math.exp(z)) - y * z for y, z in zip(label, classes, strict=True)]
            total += sum(errors) / len(errors)
        total += penalty * sum(abs(abs(x) - 1) ** 3 for x in h) / len(h)
    return total / len(logits)


@pytest.mark.parametrize("classification", ["softmax", "sigmoid"])
@pytest.mark.parametrize("rows", [[0], [3], list(range(ITEMS))])
def test_loss_is_the_formula(rows, classification):
    labels, codes = make_problem()
    loss = set_up(GreedyHashLoss(penalty=0.4, classification=classification), labels)
    rows, logits = torch.tensor(rows), 2 * codes
    values = loss({"image": loss.relax(logits[rows].float(), 0)}, make_batch(rows, labels))
    parts = [part.tolist() for part in (logits[rows], labels[rows], loss.classifier.weight)]
    assert values.shape == (len(rows),)
    assert values.mean().item() == pytest.approx(looped_loss(*parts, 0.4, classification), rel=1e-5)


def test_gradient_of_the_penalty():
    check_gradient(cubic_penalty, 2 * make_problem(1)[1])


def test_signs_are_exact_and_pass_the_gradient_on():
    values = torch.tensor([-0.3, 0.0, 0.7, 5.0], requires_grad=True)
    signs = straight_through_sign(values)
    assert signs.tolist() == [-1, 1, 1, 1]
    (signs * torch.tensor([1.0, 2, 3, 4])).sum().backward()
    assert values.grad.tolist() == [1, 2, 3, 4]


def test_the_logits_get_the_gradient_of_the_signs():
    """d CE / d h = W^T (softmax(W sign h) - y), as if the sign were the identity."""
    labels, codes = make_problem(2)
    labels = torch.eye(CLASSES, dtype=torch.uint8)[labels.float().argmax(1)]
    loss = set_up(GreedyHashLoss(penalty=0.0), labels)
    h = codes.float().requires_grad_()
    loss({"image": h}, make_batch(torch.arange(ITEMS), labels)).sum().backward()
    weight = loss.classifier.weight.detach()
    expected = ((h.detach().sign() @ weight.T).softmax(1) - labels) @ weight
    torch.testing.assert_close(h.grad, expected, rtol=1e-5, atol=1e-6)
    assert loss.classifier.weight.grad.abs().sum() > 0
    assert loss.classifier.weight.shape == (CLASSES, BITS)


def test_other_classifications_are_refused():
    with pytest.raises(ValueError, match="classification='hinge'"):
        GreedyHashLoss(classification="hinge")
