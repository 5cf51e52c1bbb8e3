"""NAG: its objective from the formula, its noise, and input diversity against torch's resizing."""

import math

import pytest
import torch
import torch.nn.functional as F

from lightning_modules.attacks import NAGAttack
from lightning_modules.attacks.diversity import diversify
from lightning_modules.randomness import sample_generator
from tests.attacks.linear import LinearVictim, make_book, make_problem

BOOK = make_book()
IDS = ("a", "b", "c", "d")


def goal_of(attack, seed=0):
    return attack.aim(BOOK.labels[:4], IDS, BOOK, seed)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_the_objective_from_the_formula(kind):
    victim, (images, _) = LinearVictim().eval(), make_problem(4)
    attack = NAGAttack(noise=kind, radius=0.2, strength=0.7)
    goal = goal_of(attack)
    loss = attack.objective(images, goal, victim)
    streams = [sample_generator(0, "nag noise", sample_id) for sample_id in IDS]
    draw = {
        "uniform": lambda g: torch.rand(3, 4, 4, generator=g) * 0.4 - 0.2,
        "normal": lambda g: (torch.randn(3, 4, 4, generator=g) * 0.2 / 3).clamp(-0.2, 0.2),
    }[kind]
    for _ in range(2):  # fresh noise each time
        noisy = images + torch.stack([draw(stream) for stream in streams])
        terms = [(victim(x) - goal.code).abs().mean(dim=1) for x in (images, noisy)]
        torch.testing.assert_close(loss(victim, images), terms[0] + 0.7 * terms[1])


def test_its_budget_is_what_its_steps_reach():
    """The authors do not project; 32 steps of 1/255 reach 32/255 and no further, so that nothing is cut off."""
    victim, (images, _) = LinearVictim().eval(), make_problem(4)
    attack = NAGAttack()
    free = NAGAttack(eps=1.0)
    assert torch.equal(attack(images, goal_of(attack), victim), free(images, goal_of(free), victim))
    assert (attack(images, goal_of(attack), victim) - images).abs().max() == pytest.approx(32 / 255, abs=1e-6)


def test_codes_come_nearer_to_the_anchor():
    victim, (images, _) = LinearVictim().eval(), make_problem(4)
    for options in ({}, {"momentum": 1.0}, {"diversity": 0.5}):
        attack = NAGAttack(**options)
        goal = goal_of(attack)
        with torch.no_grad():
            before, after = ((victim(x) - goal.code).abs().mean() for x in (images, attack(images, goal, victim)))
        assert after < before - 0.2


def test_the_noise_is_the_querys_own():
    victim, (images, _) = LinearVictim().eval(), make_problem(4)
    attack = NAGAttack(iterations=3)
    same = attack(images, goal_of(attack), victim)
    assert torch.equal(attack(images, goal_of(attack), victim), same)
    goal = goal_of(attack)
    other = type(goal)(goal.label, goal.code, ids=IDS, seed=1)
    assert not torch.equal(attack(images, other, victim), same)


@pytest.mark.parametrize("options", [{"noise": "none"}, {"momentum": 1.1}, {"diversity": -0.1}, {"radius": 0.0}])
def test_impossible_options_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}="):
        NAGAttack(**options)


@pytest.mark.parametrize("shape", [(20, 20), (32, 24)])
def test_diversity_is_resizing_and_padding(shape):
    images = torch.rand(6, 3, *shape, generator=torch.Generator().manual_seed(0))
    draws = torch.rand(6, 4, generator=torch.Generator().manual_seed(1))
    draws[0] = torch.tensor([0.0, 0.0, 0.999, 0.999])
    found = diversify(images, draws, probability=0.6, smallest=0.7)
    changed = 0
    for image, (chosen, size, top, left), result in zip(images, draws.tolist(), found, strict=True):
        expected = image
        if chosen < 0.6:
            changed += 1
            sides = [math.floor(side * (0.7 + 0.3 * size)) for side in shape]
            small = F.interpolate(image[None], sides, mode="bilinear", align_corners=False)[0]
            down, right = (math.floor(p * (s - n + 1)) for p, s, n in zip((top, left), shape, sides, strict=True))
            pads = (right, shape[1] - sides[1] - right, down, shape[0] - sides[0] - down)
            expected = F.pad(small, pads)
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
    assert 0 < changed < 6


def test_diversity_has_a_gradient():
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    draws = torch.tensor([[0.0, 0.3, 0.2, 0.9], [0.9, 0.3, 0.2, 0.9]])
    assert torch.autograd.gradcheck(lambda x: diversify(x, draws, 0.5, 0.7).sum(dim=(1, 2)), images)
