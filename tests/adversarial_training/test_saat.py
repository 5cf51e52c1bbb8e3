"""SAAT's objective by loops; its mainstay code is tested with the attack of that name."""

import pytest
import torch

from lightning_modules.adversarial_training import SAAT
from lightning_modules.adversarial_training.centre import centre_loss
from lightning_modules.attacks.mainstay import mainstay_code
from lightning_modules.types import CodeBook, binarize
from tests.adversarial_training.problems import make_batch, make_encoder, set_up
from tests.hashing.loss_problems import ITEMS, check_gradient, make_problem


def looped_loss(codes, centre, weight, quantisation):
    values = []
    for u, c in zip(codes, centre, strict=True):
        pull = -sum(a * b for a, b in zip(u, c, strict=True)) / len(u)
        binary = sum((a - (1 if a >= 0 else -1)) ** 2 for a in u) / len(u)
        values.append(weight * pull + quantisation * binary)
    return values


def test_the_objective_and_its_gradient():
    _, codes = make_problem()
    centre = codes.flip(0).sign()
    values = centre_loss(codes, centre, 0.7, 0.3)
    assert values.tolist() == pytest.approx(looped_loss(codes.tolist(), centre.tolist(), 0.7, 0.3))
    check_gradient(lambda u: centre_loss(u, centre, 0.7, 0.3), codes)


def test_a_step_of_training():
    strategy, encoder, batch = set_up(SAAT(quantisation=0.5)), make_encoder().eval(), make_batch()
    u = encoder(batch.image)
    labels, codes = make_problem()
    ids = tuple(map(str, range(ITEMS)))
    before = mainstay_code(labels, CodeBook(binarize(codes.flip(0)), labels, ids))
    adversarial = encoder(strategy.craft(encoder, batch, -before))
    values = strategy(encoder, batch, u)
    after = mainstay_code(labels, CodeBook(binarize(u), labels, ids))
    assert values.tolist() == pytest.approx(looped_loss(adversarial.tolist(), after.tolist(), 1.0, 0.5), rel=1e-5)


def test_the_attack_moves_codes_away_from_the_mainstay():
    strategy, encoder, batch = set_up(SAAT(eps=0.2, step=0.05)), make_encoder().eval(), make_batch()
    centre = strategy.centre(batch.label)
    with torch.no_grad():
        before, after = ((encoder(x) * centre).mean(1) for x in (batch.image, strategy.craft(encoder, batch, -centre)))
    assert (after < before).all()
    assert after.shape == (ITEMS,)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="quantisation=-1"):
        SAAT(quantisation=-1)
