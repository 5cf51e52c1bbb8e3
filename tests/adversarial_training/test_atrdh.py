"""ATRDH by loops over its formulas."""

import math

import pytest
import torch

from lightning_modules.adversarial_training import ATRDH
from lightning_modules.types import binarize
from tests.adversarial_training.problems import make_batch, make_encoder, set_up
from tests.hashing.loss_problems import BITS, CLASSES, ITEMS, make_problem


def looped_circle(products, similarity):
    positive, negative = 0.0, 0.0
    for row, similar in zip(products, similarity, strict=True):
        for s, is_similar in zip(row, similar, strict=True):
            if is_similar:
                positive += math.exp(-max(2 - s, 0) * s)
            else:
                negative += math.exp(max(s + 2, 0) * s)
    return sum(math.log(part) for part in (positive, negative) if part)


def test_a_step_of_training():
    strategy, encoder, batch = (
        set_up(ATRDH(weight=0.5, prototype_quantisation=0.3)),
        make_encoder().eval(),
        make_batch(),
    )
    u = encoder(batch.image)
    values = strategy(encoder, batch, u)
    labels, _ = make_problem()
    targets = strategy.draw_targets(batch)
    prototypes = strategy.prototypes(targets).code
    adversarial = encoder(strategy.craft(encoder, batch, binarize(prototypes)))
    products = prototypes @ binarize(u).float().T / BITS
    own = looped_circle(products.tolist(), (targets.float() @ labels.float().T > 0).tolist())
    own += 0.3 * (prototypes - prototypes.sign()).square().sum().item()
    for row, label, value in zip(adversarial.tolist(), labels.tolist(), values.tolist(), strict=True):
        total = 0.0
        for other, other_label in zip(u.tolist(), labels.tolist(), strict=True):
            sign = 1 if any(a and b for a, b in zip(label, other_label, strict=True)) else -1
            total += (sum(a * b for a, b in zip(row, other, strict=True)) / BITS - sign) ** 2
        assert value == pytest.approx(0.5 * total / ITEMS + own / ITEMS, rel=1e-4)


def test_neither_gradient_reaches_the_other_network():
    strategy, encoder, batch = set_up(ATRDH()), make_encoder().eval(), make_batch()
    u = encoder(batch.image).detach()
    prototypes = strategy.prototypes(strategy.draw_targets(batch))
    strategy.memory.write(batch.index, u)
    own = strategy.prototype_loss(prototypes, strategy.draw_targets(batch))
    expected = torch.autograd.grad(own, list(strategy.prototypes.parameters()))
    strategy(encoder, batch, u).mean().backward()
    for parameter, gradient in zip(strategy.prototypes.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_targets_are_labels_of_the_split_drawn_by_sample_and_epoch():
    strategy = set_up(ATRDH())
    whole = strategy.draw_targets(make_batch())
    parts = torch.cat([strategy.draw_targets(make_batch([row])) for row in range(ITEMS)])
    assert torch.equal(whole, parts)
    assert whole.shape == (ITEMS, CLASSES)
    known = set(map(tuple, make_problem()[0].tolist()))
    assert set(map(tuple, whole.tolist())) <= known
    strategy.epoch = 1
    assert not torch.equal(strategy.draw_targets(make_batch()), whole)
