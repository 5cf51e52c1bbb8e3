"""CSQ against loops over its formula, and the choice of class centres."""

import math

import pytest
import torch

from lightning_modules.hashing.losses import CSQLoss
from lightning_modules.hashing.losses.centres import centre_of_items, hash_centres
from lightning_modules.hashing.losses.csq import central_similarity
from tests.hashing.loss_problems import BITS, CLASSES, ITEMS, check_gradient, make_batch, make_problem, set_up


def looped_loss(logits, labels, centres, tie_break, quantisation):
    """Mean over items of BCE to the voted centre, and of lambda (|u| - 1)^2; both means over bits."""
    total = 0.0
    for y, label in zip(logits, labels, strict=True):
        for k, logit in enumerate(y):
            u = math.tanh(logit)
            votes = sum(centre[k] for centre, has in zip(centres, label, strict=True) if has)
            bit = tie_break[k] if votes == 0 else votes
            p = (u + 1) / 2
            if any(label):
                total -= math.log(p if bit > 0 else 1 - p)
            total += quantisation * (abs(u) - 1) ** 2
    return total / (len(logits) * len(logits[0]))


@pytest.mark.parametrize("rows", [[0], [3], list(range(ITEMS))])
def test_loss_is_the_formula(rows):
    labels, codes = make_problem()
    loss, rows = set_up(CSQLoss(quantisation=0.3), labels), torch.tensor(rows)
    logits = loss.relax(3 * codes[rows].float(), 7)
    values = loss({"image": logits}, make_batch(rows, labels))
    parts = [part.tolist() for part in (3 * codes[rows], labels[rows], loss.centres, loss.tie_break)]
    assert values.shape == (len(rows),)
    assert values.mean().item() == pytest.approx(looped_loss(*parts, 0.3), rel=1e-5)


def test_gradient():
    _, codes = make_problem(1)
    centres = codes.flip(0).sign()
    check_gradient(lambda y: central_similarity(y, centres), codes)


def test_saturated_codes_keep_a_finite_gradient():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    (value,) = central_similarity(logits, torch.tensor([[-1.0, -1.0]]))
    value.backward()
    assert value.item() == pytest.approx(200.0)
    assert logits.grad.tolist() == [[1.0, 0.0]]


def test_the_centre_of_several_classes_is_their_vote():
    centres = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, 1, 1, 1]])
    labels = torch.tensor([[1, 0, 0], [1, 1, 1], [1, 1, 0]], dtype=torch.uint8)
    tie_break = torch.tensor([-1.0, -1, 1, 1])
    expected = [[1, 1, -1, -1], [1, 1, 1, -1], [1, -1, 1, -1]]
    assert centre_of_items(labels, centres, tie_break).tolist() == expected


@pytest.mark.parametrize(("classes", "bits"), [(1, 8), (8, 8), (16, 8), (38, 32), (64, 32)])
def test_hadamard_centres_are_half_of_the_bits_apart(classes, bits):
    centres = hash_centres(classes, bits)
    assert centres.shape == (classes, bits)
    products = centres @ centres.T
    opposite = products == -bits
    assert torch.equal(products.diagonal(), torch.full((classes,), float(bits)))
    products.fill_diagonal_(0)
    assert torch.equal(products[~opposite], torch.zeros_like(products[~opposite]))


@pytest.mark.parametrize(("classes", "bits"), [(80, 32), (10, 12), (3, 48)])
def test_other_centres_are_balanced_drawn_by_seed_and_apart(classes, bits):
    centres = hash_centres(classes, bits, seed=3)
    assert torch.equal(centres.abs(), torch.ones(classes, bits))
    assert torch.equal(centres.sum(1), torch.zeros(classes))
    assert torch.equal(centres, hash_centres(classes, bits, seed=3))
    assert not torch.equal(centres, hash_centres(classes, bits, seed=4))
    distances = (centres[:, None] != centres).sum(2)
    assert distances[~torch.eye(classes, dtype=torch.bool)].min() >= bits // 8


def test_centres_survive_a_restart():
    labels, _ = make_problem()
    state = set_up(CSQLoss(seed=5), labels).state_dict()
    other = set_up(CSQLoss(seed=6), labels)
    assert set(state) == {"centres", "tie_break"}
    assert state["centres"].shape == (CLASSES, BITS)
    other.load_state_dict(state)
    assert torch.equal(other.centres, state["centres"])
