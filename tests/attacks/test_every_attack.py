"""What every gradient attack keeps to: budget, range, independence of the batch, a victim left as it was."""

import pytest
import torch

from lightning_modules.attacks import HAGAttack, IterativeCodeAttack, MainstayAttack, NAGAttack, SDHAAttack
from lightning_modules.attacks.descent import GradientAttack
from lightning_modules.types import AttackGoal
from tests.attacks.linear import SIDE, LinearVictim, make_book

EPS = 8 / 255
ATTACKS = {
    "P2P": (IterativeCodeAttack, {"num_items": 1, "step": 0.3, "alpha_schedule": "constant"}),
    "DHTA": (IterativeCodeAttack, {"num_items": 9, "step_rule": "sign", "step": 1 / 255}),
    "mainstay": (MainstayAttack, {}),
    "mainstay untargeted": (MainstayAttack, {"targeted": False}),
    "HAG": (HAGAttack, {"step": 1.0}),
    "SDHA": (SDHAAttack, {}),
    "SDHA untargeted": (SDHAAttack, {"targeted": False, "offset": 1.0}),
    "NAG": (NAGAttack, {}),
    "NAG with all options": (NAGAttack, {"momentum": 1.0, "diversity": 0.5, "noise": "normal"}),
}
UNTARGETED = {"mainstay untargeted", "HAG", "SDHA untargeted"}
every_attack = pytest.mark.parametrize("name", ATTACKS)
BOOK = make_book()
LABELS = BOOK.labels[:7]
IDS = tuple(f"query-{i}" for i in range(7))


def pictures():
    generator = torch.Generator().manual_seed(5)
    return (torch.rand(7, 3, SIDE, SIDE, generator=generator) * 1.4 - 0.2).clamp(0, 1)  # many pixels on the border


def make(name, **options):
    attack, defaults = ATTACKS[name]
    return attack(**defaults | options)


def craft(attack, rows=slice(None), victim=None, seed=0):
    goal = attack.aim(LABELS[rows], IDS[rows], BOOK, seed)
    return attack(pictures()[rows], goal, victim or LinearVictim())


def test_every_attack_is_here():
    def below(cls):
        return {cls}.union(*(below(sub) for sub in cls.__subclasses__()))

    ours = {one for one in below(GradientAttack) if one.__module__.startswith("lightning_modules")}
    assert {attack for attack, _ in ATTACKS.values()} == ours - {GradientAttack}


@every_attack
@pytest.mark.parametrize("size", [1, 3, 7])
def test_budget_and_range(name, size):
    images = pictures()
    for start in range(0, 7, size):
        rows = slice(start, start + size)
        found = craft(make(name, iterations=15, eps=EPS), rows)
        assert found.shape == images[rows].shape
        assert found.dtype == torch.float32
        assert not found.requires_grad
        assert found.min() >= 0
        assert found.max() <= 1
        change = (found - images[rows]).abs().flatten(1).amax(1)
        assert (change <= EPS + 1e-6).all()
        assert (change > 0).all()


@every_attack
def test_an_image_does_not_depend_on_its_batch(name):
    attack = make(name, iterations=15, eps=EPS)
    whole = craft(attack)
    for size in (1, 3):
        parts = torch.cat([craft(attack, slice(i, i + size)) for i in range(0, 7, size)])
        # A gradient that is zero up to rounding may change its sign: a few pixels in a hundred at most.
        assert ((whole - parts).abs() > 1e-4).float().mean() < 0.03


@every_attack
def test_the_same_seed_gives_the_same_picture_and_the_victim_is_left_alone(name):
    victim, attack = LinearVictim(), make(name, iterations=4, eps=EPS)
    first = craft(attack, victim=victim)
    assert torch.equal(craft(attack, victim=victim), first)
    assert all(seen[1:] == (False, False) for seen in victim.seen), "in eval mode, without a graph of its weights"
    assert victim.training
    assert victim.weight.requires_grad
    assert victim.weight.grad is None


@every_attack
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(name, context):
    attack = make(name, iterations=3, eps=EPS)
    victim = LinearVictim()
    expected = craft(attack, victim=victim)
    with context():
        assert torch.equal(craft(attack, victim=victim), expected)


@every_attack
def test_a_victim_that_breaks_is_said(name):
    def victim(images, alpha=1.0):
        return LinearVictim().eval()(images, alpha) * torch.nan

    with pytest.raises(ValueError, match="image 0 of the batch: the victim's gradient is NaN"):
        craft(make(name, iterations=2, eps=EPS), victim=victim)


@every_attack
def test_bfloat16_keeps_the_budget(name):
    found = craft(make(name, iterations=5, eps=EPS, precision="bfloat16"))
    assert found.dtype == torch.float32
    assert (found - pictures()).abs().max() <= EPS + 1e-6


@every_attack
def test_a_goal_carries_what_the_attack_draws_with(name):
    attack = make(name, iterations=1, eps=EPS)
    goal = attack.aim(LABELS, IDS, BOOK, 4)
    assert torch.equal(goal.label, LABELS)
    assert goal.ids == IDS
    assert goal.seed == 4
    assert attack.knowledge in ("database", "training", "nothing")
    assert attack.targeted == (name not in UNTARGETED)


@every_attack
@pytest.mark.parametrize("options", [{"eps": 0.0}, {"iterations": -1}, {"precision": "float16"}, {"step": -1.0}])
def test_impossible_options_are_refused(name, options):
    (option,) = options
    with pytest.raises(ValueError, match=f"^{option}="):
        make(name, **options)


@pytest.mark.parametrize("name", ["P2P", "mainstay", "mainstay untargeted", "NAG"])
def test_without_an_anchor_it_says_so(name):
    with pytest.raises(ValueError, match=r"call aim\(\) first"):
        make(name, iterations=1)(pictures(), AttackGoal(LABELS), LinearVictim())


def test_the_sign_of_a_code_does_not_depend_on_the_slope():
    victim, images = LinearVictim().eval(), pictures()
    assert torch.equal(victim(images, 0.1).sign(), victim(images, 1.0).sign())
