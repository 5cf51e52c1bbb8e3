"""The attack inside of a training step: budget, range, independence, and the network as it was."""

import pytest
import torch

from lightning_modules.adversarial_training import CgAT
from tests.adversarial_training.problems import make_batch, make_encoder, set_up
from tests.hashing.loss_problems import BITS, ITEMS

TOWARDS = torch.where(torch.arange(ITEMS * BITS).view(ITEMS, BITS) % 3 > 0, 1, -1).to(torch.int8)


def test_budget_and_range():
    batch, encoder = make_batch(), make_encoder()
    crafted = set_up(CgAT(eps=0.3, step=0.2)).craft(encoder, batch, TOWARDS)
    assert (crafted - batch.image).abs().max() <= 0.3 + 1e-6
    assert (crafted - batch.image).abs().max() > 0.25
    assert crafted.min() >= 0
    assert crafted.max() <= 1
    assert not crafted.requires_grad


def test_pictures_do_not_depend_on_their_batch():
    strategy, encoder = set_up(CgAT()), make_encoder()
    whole = strategy.craft(encoder, make_batch(), TOWARDS)
    singly = [strategy.craft(encoder, make_batch([row]), TOWARDS[row : row + 1]) for row in range(ITEMS)]
    torch.testing.assert_close(torch.cat(singly), whole, rtol=0, atol=1e-6)


def test_starts_are_new_in_every_epoch():
    strategy, encoder, batch = set_up(CgAT(iterations=1, step=1e-9)), make_encoder(), make_batch()
    first = strategy.craft(encoder, batch, TOWARDS)
    assert torch.equal(strategy.craft(encoder, batch, TOWARDS), first)
    strategy.epoch = 1
    assert not torch.equal(strategy.craft(encoder, batch, TOWARDS), first)


@pytest.mark.parametrize("in_train_mode", [False, True])
def test_dropout_is_off_unless_wanted_and_the_network_stays_in_training(in_train_mode):
    strategy = set_up(CgAT(attack_in_train_mode=in_train_mode))
    encoder, batch, modes = make_encoder().train(), make_batch(), []
    encoder.backbone.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    strategy.craft(encoder, batch, TOWARDS)
    assert modes == [in_train_mode] * 7
    assert encoder.training
    assert encoder.backbone.dropout.training
    assert all(p.requires_grad and p.grad is None for p in encoder.parameters())


@pytest.mark.parametrize("options", [{"eps": 0.0}, {"step": -1.0}, {"iterations": 0}, {"weight": 0.0}])
def test_impossible_options_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}="):
        CgAT(**options)
