"""Every objective against its formula in float64, written as loops over images, and against what it is made for."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDPMScheduler

from lightning_modules.configurable import build
from lightning_modules.purification import DiffusionSchedule
from lightning_modules.purification.objectives import (
    Bridge,
    CleanTarget,
    Draws,
    Objective,
    Pair,
    Purify,
    Simple,
    diffuse_each,
)

SCHEDULE = DiffusionSchedule.linear()
BETAS = [1e-4 + (0.02 - 1e-4) * number / 999 for number in range(1000)]
STEPS = (1, 2, 45, 178, 1000)
ALL = [Simple(), Purify(), Bridge((1000, 1000)), CleanTarget(), CleanTarget("x0"), CleanTarget("none")]


def kept(t):
    """A_t, by the definition."""
    return math.prod(1 - beta for beta in BETAS[:t])


def pair(count=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(count, 3, 8, 8, generator=generator, dtype=dtype) * 2 - 1
    delta = 0.06 * torch.randn(clean.shape, generator=generator, dtype=dtype)
    return Pair(clean, clean + delta)


def draws(time, horizon=None, like=None):
    time = torch.as_tensor(time, dtype=torch.float64)
    noise = torch.randn(len(time), 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    horizon = torch.zeros_like(time) if horizon is None else torch.as_tensor(horizon, dtype=torch.float64)
    return Draws(time, horizon, noise if like is None else noise.to(like))


def at(steps, last=1000):
    """Uniform numbers that choose these steps of 1..last."""
    return [(t - 0.5) / last for t in steps]


def inverted(x, target, t):
    """The clean image that x_t and its noise imply: eq. 3, solved."""
    return (x - math.sqrt(1 - kept(t)) * target) / math.sqrt(kept(t))


# The formulas


def by_hand(kind, x, adv, e, t, end=1000):
    """Return x_t, target and weight of one image."""
    a, delta = kept(t), adv - x
    match kind:
        case "Simple":
            return math.sqrt(a) * x + math.sqrt(1 - a) * e, e, 1
        case "Purify":
            return math.sqrt(a) * adv + math.sqrt(1 - a) * e, e, 1
        case "Bridge":
            w = kept(end) / (1 - kept(end))
            seen = math.sqrt(a) * x + math.sqrt(1 - a) * e + delta * w * (1 - a) / math.sqrt(a)
            return seen, e + delta * w * math.sqrt((1 - a) / a), 1
        case "CleanTarget/noise" | "CleanTarget/x0" | "CleanTarget/none":
            weight = {"noise": 1 - a, "x0": (1 - a) / a, "none": 1}[kind.partition("/")[2]]
            return math.sqrt(a) * adv + math.sqrt(1 - a) * e, e + delta * math.sqrt(a / (1 - a)), weight
    raise AssertionError(kind)


def name(objective):
    kind = type(objective).__name__
    return f"{kind}/{objective.weighting}" if kind == "CleanTarget" else kind


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_the_loss_is_the_formula(objective):
    images, chosen = pair(), draws(at(STEPS))
    told = []

    def epsilon(x, timesteps):
        told.append(timesteps)
        return 0.5 * x.sin()

    loss = objective(epsilon, SCHEDULE, images, (1, 1000), chosen)
    assert told[0].tolist() == [t - 1 for t in STEPS]
    for row, t in enumerate(STEPS):
        x, target, weight = by_hand(name(objective), images.clean[row], images.adversarial[row], chosen.noise[row], t)
        expected = weight * (0.5 * x.sin() - target).square().mean()
        assert loss[row].item() == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_the_gradient_in_the_answer(objective):
    images, chosen = pair(2), draws(at((3, 60)))

    def loss(answer):
        return objective(lambda x, t: answer, SCHEDULE, images, (1, 1000), chosen)

    answer = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(loss, answer.requires_grad_())


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_the_right_answer_has_no_loss(objective):
    images, chosen = pair(), draws(at(STEPS))
    index = objective.index((1, 1000), chosen)
    target = objective.regression(SCHEDULE, images, index, chosen).target
    loss = objective(lambda x, t: target, SCHEDULE, images, (1, 1000), chosen)
    assert float(loss.max()) == 0


@pytest.mark.parametrize("objective", [Bridge((1000, 1000)), CleanTarget()], ids=name)
def test_the_target_implies_the_clean_image_at_every_step(objective):
    images, chosen = pair(), draws(at(STEPS))
    wanted = objective.regression(SCHEDULE, images, objective.index((1, 1000), chosen), chosen)
    for row, t in enumerate(STEPS):
        found = inverted(wanted.x[row], wanted.target[row], t)
        torch.testing.assert_close(found, images.clean[row], rtol=0, atol=1e-10)


def test_the_target_of_eq_14_implies_the_adversarial_image():
    images, chosen = pair(), draws(at(STEPS))
    wanted = Purify().regression(SCHEDULE, images, Purify().index((1, 1000), chosen), chosen)
    for row, t in enumerate(STEPS):
        found = inverted(wanted.x[row], wanted.target[row], t)
        torch.testing.assert_close(found, images.adversarial[row], rtol=0, atol=1e-10)


def test_x0_weighting_is_the_error_of_the_clean_image():
    images, chosen = pair(), draws(at(STEPS))
    loss = CleanTarget("x0")(lambda x, t: torch.zeros_like(x), SCHEDULE, images, (1, 1000), chosen)
    seen = CleanTarget().regression(SCHEDULE, images, CleanTarget().index((1, 1000), chosen), chosen).x
    for row, t in enumerate(STEPS):
        implied = inverted(seen[row], torch.zeros_like(seen[row]), t)
        expected = (implied - images.clean[row]).square().mean()
        assert loss[row].item() == pytest.approx(expected.item(), rel=1e-9)


# The bridge


def test_the_bridge_starts_at_the_noised_adversarial_image_and_ends_at_the_clean_one():
    images = pair()
    chosen = draws([0.999] * 5)
    bridge = Bridge((45, 45))
    index = bridge.index((1, 1000), chosen)
    assert index.tolist() == [44] * 5
    start = bridge.regression(SCHEDULE, images, index, chosen).x
    torch.testing.assert_close(start, diffuse_each(SCHEDULE, images.adversarial, index, chosen.noise))
    first = bridge.regression(SCHEDULE, images, torch.zeros_like(index), chosen).x
    clean = diffuse_each(SCHEDULE, images.clean, torch.zeros_like(index), chosen.noise)
    left = (first - clean).norm() / images.delta.norm()
    assert left == pytest.approx(kept(45) / (1 - kept(45)) * 1e-4 / math.sqrt(1 - 1e-4), rel=1e-6)
    assert left < 0.005


def test_the_bridge_draws_its_end_and_t_up_to_it():
    bridge, count = Bridge((100, 200)), 4000
    generator = torch.Generator().manual_seed(0)
    time, horizon = torch.rand(2, count, generator=generator, dtype=torch.float64)
    index = bridge.index((1, 1000), draws(time, horizon))
    ends = bridge._ends(draws(time, horizon))
    assert (ends.min(), ends.max()) == (100, 200)
    assert bool((index < ends).all())
    assert index.min() == 0
    assert ((index + 1) / ends).mean() == pytest.approx(0.5, abs=0.02)
    assert ends.double().mean() == pytest.approx(150, abs=2)
    # Each image is led from its own end.
    images = pair(2)
    two = draws([0.999, 0.999], [0.0, 0.999])
    index = bridge.index((1, 1000), two)
    assert index.tolist() == [99, 199]
    start = bridge.regression(SCHEDULE, images, index, two).x
    torch.testing.assert_close(start, diffuse_each(SCHEDULE, images.adversarial, index, two.noise))


# Draws


def test_every_step_of_the_range_is_equally_likely():
    time = torch.rand(6000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values, counts = Simple().index((3, 8), Draws(time, time, time)).unique(return_counts=True)
    assert values.tolist() == [2, 3, 4, 5, 6, 7]
    assert (counts - 1000).abs().max() < 5 * 1000**0.5


def test_draws_belong_to_samples():
    like = torch.empty(4, 3, 8, 8)
    whole = Draws.of(3, "train/0", list("abcd"), like)
    for row, one in enumerate("abcd"):
        alone = Draws.of(3, "train/0", [one], like[:1])
        assert torch.equal(alone.time[0], whole.time[row])
        assert torch.equal(alone.horizon[0], whole.horizon[row])
        assert torch.equal(alone.noise[0], whole.noise[row])
    numbers = {float(one) for kind in (whole.time, whole.horizon) for one in kind}
    assert len(numbers) == 8


# Forward process and chain


def test_every_image_is_noised_to_its_own_step():
    images, chosen = pair(4, torch.float32), draws(at((1, 45, 178, 1000)), like=torch.empty(0))
    index = Simple().index((1, 1000), chosen)
    expected = DDPMScheduler(beta_start=1e-4, beta_end=0.02).add_noise(images.clean, chosen.noise, index)
    torch.testing.assert_close(
        diffuse_each(SCHEDULE, images.clean, index, chosen.noise), expected, rtol=1e-4, atol=1e-5
    )


def test_the_network_is_told_the_index_of_the_original_chain():
    told = []
    chosen = draws(at((45,), 250))
    Simple()(lambda x, t: (told.append(t), x)[1], SCHEDULE.respace(250), pair(1), (1, 250), chosen)
    assert told[0].tolist() == [177]


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_half_precision_answers_and_float32_images(objective):
    images, chosen = pair(dtype=torch.float32), draws(at(STEPS), like=torch.empty(0))
    loss = objective(lambda x, t: x.bfloat16(), SCHEDULE, images, (1, 1000), chosen)
    assert loss.dtype == torch.float32
    assert bool(loss.isfinite().all())


# Options


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_a_spec_rebuilds_the_objective(objective):
    rebuilt = build(objective.spec, Objective)
    assert type(rebuilt) is type(objective)
    assert rebuilt.spec == objective.spec
    assert objective.paired == (not isinstance(objective, Simple))


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match=r"horizon=\(0, 3\): expected 1 <= first <= last"):
        Bridge((0, 3))
    with pytest.raises(ValueError, match=r"weighting='x1': expected one of noise, x0, none"):
        CleanTarget("x1")
