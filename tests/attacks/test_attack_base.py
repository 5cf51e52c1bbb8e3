"""What all attacks share: the frozen victim, the goal, the fingerprint."""

import pytest
import torch
from torch import nn

from lightning_modules.attacks import Attack
from lightning_modules.attacks.base import frozen
from lightning_modules.types import AttackGoal, CodeBook


class Shift(Attack):
    def __init__(self, by: float = 0.1) -> None:
        super().__init__()
        self.by = by

    def forward(self, images, goal, victim):
        return (images + self.by).clamp(0, 1)


def make_victim():
    victim = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3)), nn.Linear(3, 1))
    victim[1].eval()
    victim[0].bias.requires_grad_(False)
    return victim


def state_of(victim):
    return [m.training for m in victim.modules()], [p.requires_grad for p in victim.parameters()]


def test_frozen_restores_every_flag():
    victim = make_victim()
    before = state_of(victim)
    assert len({*before[0]}) == len({*before[1]}) == 2
    with frozen(victim) as model:
        assert model is victim
        assert not any(part for parts in state_of(victim) for part in parts)
    assert state_of(victim) == before
    with pytest.raises(RuntimeError, match="stop"), frozen(victim):
        raise RuntimeError("stop")
    assert state_of(victim) == before


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("victim", [make_victim(), lambda x: x * 2], ids=["module", "function"])
def test_frozen_allows_input_gradients_anywhere(context, victim):
    with context():
        with frozen(victim) as model:
            inputs = torch.ones(2, 2, requires_grad=True)
            (gradient,) = torch.autograd.grad(model(inputs).sum(), inputs)
        assert not torch.is_grad_enabled()
    assert gradient.abs().sum() > 0


def test_the_default_goal_is_the_label():
    book = CodeBook(torch.ones(1, 4, dtype=torch.int8), torch.ones(1, 2, dtype=torch.uint8), ("a",))
    label = torch.ones(3, 2, dtype=torch.uint8)
    goal = Shift().aim(label, ["x", "y", "z"], book, seed=0)
    assert isinstance(goal, AttackGoal)
    assert torch.equal(goal.label, label)
    assert goal.code is None
    assert goal.text is None


def test_fingerprint_tells_hyper_parameters_apart():
    assert Shift().fingerprint() == Shift(0.1).fingerprint() == Shift(by=0.1).fingerprint()
    assert Shift().fingerprint() != Shift(0.2).fingerprint()
