"""HAG: its objective by loops, and that it drives codes away from their own."""

import pytest
import torch

from lightning_modules.attacks import HAGAttack
from lightning_modules.attacks.hag import hag_loss
from tests.attacks.linear import LinearVictim, make_book, make_problem


def by_hand(u, v, balance):
    """The formula for one image; bits beyond 1.5 of the clean sign are left out."""
    waiting = [k for k in range(len(u)) if abs(u[k] - (1 if v[k] >= 0 else -1)) < 1.5]
    agreement = sum(u[k] * v[k] for k in waiting) / len(waiting) if waiting else 0.0
    return (agreement + 1) ** 2 + balance * (sum(u[k] for k in waiting) / len(u)) ** 2


@pytest.mark.parametrize("balance", [0.0, 1.0, 3.0])
def test_the_objective_by_loops(balance):
    generator = torch.Generator().manual_seed(0)
    codes, clean = (torch.rand(7, 9, generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(2))
    codes[0] = -clean[0].sign()  # every bit is flipped
    expected = [by_hand(u, v, balance) for u, v in zip(codes.tolist(), clean.tolist(), strict=True)]
    torch.testing.assert_close(hag_loss(codes, clean, balance), torch.tensor(expected).double())
    assert hag_loss(codes, clean, balance)[0] == 1, "no bit waits: a constant"
    assert torch.autograd.gradcheck(lambda u: hag_loss(u, clean, balance), codes.requires_grad_())


def test_a_flipped_bit_is_left_alone():
    clean = torch.tensor([[0.9, -0.9, 0.5]])
    codes = torch.tensor([[-0.8, 0.6, 0.5]], requires_grad=True)
    hag_loss(codes, clean).sum().backward()
    assert codes.grad[0, :2].tolist() == [0.0, 0.0]
    assert codes.grad[0, 2] > 0


def test_bits_flip():
    victim, (images, _) = LinearVictim().eval(), make_problem(8)
    attack = HAGAttack(step=10.0, iterations=80, eps=0.3)
    goal = attack.aim(torch.zeros(8, 4).byte(), tuple("abcdefgh"), make_book().part([]), 0)
    assert goal.code is None
    with torch.no_grad():
        own, found = victim(images), victim(attack(images, goal, victim))
    assert (own.sign() != found.sign()).float().mean() > 0.4


def test_legacy_batch_divides_the_step():
    victim, (images, _) = LinearVictim().eval(), make_problem(4)
    goal = HAGAttack().aim(torch.zeros(4, 4).byte(), tuple("abcd"), make_book().part([]), 0)
    legacy = HAGAttack(step=2.0, legacy_batch=8, iterations=3)(images, goal, victim)
    assert torch.equal(legacy, HAGAttack(step=0.25, iterations=3)(images, goal, victim))


@pytest.mark.parametrize("options", [{"step": 0.0}, {"momentum": 1.0}, {"balance": -1.0}, {"legacy_batch": 0}])
def test_impossible_options_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}="):
        HAGAttack(**options)
