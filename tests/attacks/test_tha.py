"""THA: the iterative attack's signed steps towards prototype codes."""

import pytest
import torch
from torch import nn

from lightning_modules.attacks import THA, IterativeCodeAttack
from lightning_modules.attacks.folder import AttackFacts, prefixed, save_folder
from lightning_modules.attacks.networks import PrototypeNet

BITS, SIDE = 16, 6


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(BITS, 3 * SIDE * SIDE, generator=generator) * 0.3)

    def forward(self, images, alpha=1.0):
        return torch.tanh(alpha * (images - 0.5).flatten(1) @ self.weight.T)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    network = PrototypeNet(3, BITS, classifier=False)
    save_folder(tmp_path / "tha", AttackFacts("THA", BITS, 3, None), prefixed({"prototype": network}))
    return str(tmp_path / "tha"), network


def test_two_steps_written_out(folder):
    path, network = folder
    victim, labels = Linear(), torch.tensor([[1, 0, 1], [0, 1, 0]], dtype=torch.uint8)
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    attack = THA(path, iterations=2, eps=0.006, step=0.004)
    goal = attack.aim(labels, ("a", "b"), None, seed=0)
    code = torch.where(network(labels).code >= 0, 1.0, -1.0).double()
    assert torch.equal(goal.code.double(), code)
    delta, weight = torch.zeros(2, 3 * SIDE * SIDE, dtype=torch.float64), victim.weight.detach().double()
    x = images.double().flatten(1)
    for _ in range(2):
        u = torch.tanh((x + delta - 0.5) @ weight.T)
        gradient = -(code * (1 - u**2)) @ weight / BITS  # of -mean u h, with the plain tanh
        delta = (delta - 0.004 * gradient.sign()).clamp(-0.006, 0.006)
        delta = (x + delta).clamp(0, 1) - x
    found = attack(images, goal, victim)
    torch.testing.assert_close(found, (x + delta).view_as(images).float(), rtol=0, atol=1e-6)
    assert (found - images).abs().max() > 0.005, "the budget binds"


def test_defaults_are_the_published_ones(folder):
    steps = THA(folder[0]).steps
    assert isinstance(steps, IterativeCodeAttack)
    assert (steps.descent.iterations, steps.descent.eps, steps.step, steps.step_rule) == (100, 8 / 255, 1 / 255, "sign")
    assert steps.descent.alpha_schedule == "constant"


def test_options_and_weights_identify_it(folder):
    path, _ = folder
    assert THA(path).fingerprint() == THA(path).fingerprint()
    assert THA(path).fingerprint() != THA(path, iterations=50).fingerprint()
    with pytest.raises(ValueError, match=r"^iterations=0"):
        THA(path, iterations=0)


def test_the_victim_gets_no_gradient(folder):
    path, _ = folder
    victim, attack = Linear(), THA(path, iterations=2)
    goal = attack.aim(torch.eye(3, dtype=torch.uint8), ("a", "b", "c"), None, seed=0)
    attack(torch.rand(3, 3, SIDE, SIDE), goal, victim)
    assert victim.weight.grad is None
    assert victim.weight.requires_grad
    assert all(parameter.grad is None for parameter in attack.parameters())
