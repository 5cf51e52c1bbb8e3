"""Samplers against diffusers, each other where they coincide, and what every sampler must do."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import nn

from lightning_modules.purification import DiffusionSchedule
from lightning_modules.purification.chain import guidance_scale, guided_reverse_chain, guided_step
from lightning_modules.purification.guidance import distance_gradient
from lightning_modules.purification.options import ChainOptions
from lightning_modules.purification.samplers import SAMPLERS, learned_variance, pull_per_scale, reverse_steps
from lightning_modules.purification.schedule import trailing_steps

LINEAR = DiffusionSchedule.linear()
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
EXACT = [name for name in SAMPLERS if name != "euler"]  # Euler steps add noise at the end


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Recorded:
    """A noise source that keeps what it drew."""

    def __init__(self, seed=0):
        self.generator, self.draws = torch.Generator().manual_seed(seed), []

    def __call__(self, like):
        self.draws.append(torch.randn(like.shape, generator=self.generator, dtype=like.dtype))
        return self.draws[-1]


def smooth(x, timesteps):
    """Something nonlinear in place of a network."""
    return torch.tanh(x.roll(1, -1) + 0.5 * x) * (1 + timesteps.view(-1, 1, 1, 1) / 1000)


def run(options, images, steps, epsilon=smooth, seed=0):
    chain = LINEAR.at(steps)
    return guided_reverse_chain(epsilon, chain, options, images, len(chain), Recorded(seed))


# What every sampler must do


@pytest.mark.parametrize("sampler", EXACT)
@pytest.mark.parametrize("calls", [1, 2, 5, 10, 45])
def test_an_oracle_gives_the_clean_image_back(sampler, calls):
    clean = random(2, 3, 8, 8).clamp(-1, 1)

    def oracle(x, timesteps):
        alpha_bar = LINEAR.alpha_bars[timesteps[0]]
        return (x - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()

    attacked = clean + 0.05 * random(2, 3, 8, 8, seed=1).sign()
    purified = run(ChainOptions(scale=0, sampler=sampler), attacked, trailing_steps(45, calls), oracle)
    torch.testing.assert_close(purified, clean, rtol=0, atol=1e-8)


@pytest.mark.parametrize("sampler", EXACT)
def test_one_call_is_x0_hat(sampler):
    images, source = random(2, 3, 8, 8).clamp(-1, 1), Recorded()
    options = ChainOptions(scale=0, sampler=sampler, clip=False)
    ours = guided_reverse_chain(smooth, LINEAR.at([99]), options, images, 1, source)
    alpha_bar = (1 - BETAS).cumprod(0)[98]
    x = alpha_bar.sqrt() * images + (1 - alpha_bar).sqrt() * source.draws[0]
    expected = (x - (1 - alpha_bar).sqrt() * smooth(x, torch.tensor([98, 98]))) / alpha_bar.sqrt()
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_share_their_noise(sampler):
    source = Recorded()
    options = ChainOptions(sampler=sampler)
    guided_reverse_chain(smooth, LINEAR.at([45, 30, 15]), options, random(1, 3, 12, 12), 3, source)
    assert len(source.draws) == 1 + 2 * 3
    assert torch.equal(source.draws[0], Recorded()(random(1, 3, 12, 12)))


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "ddpm"])
@pytest.mark.parametrize("order", [1, 2])
def test_guidance_is_that_of_the_score(sampler, order):
    # Dhariwal & Nichol (2021), Algorithm 2: sample with eps + sqrt(1 - A) s grad D, unguided.
    images = 0.3 * random(2, 3, 12, 12)
    shared = {"sampler": sampler, "order": order, "clip": False, "target_noise": "none", "metric": "mse", "eta": 0.5}

    def conditioned(x, timesteps):
        alpha_bar = LINEAR.alpha_bars[timesteps[0]]
        return smooth(x, timesteps) + (1 - alpha_bar).sqrt() * 1e4 * distance_gradient("mse", x, images)

    steps = [80, 55, 31, 12]
    guided = run(ChainOptions(scale=1e4, **shared), images, steps)
    assert (guided - run(ChainOptions(scale=0, **shared), images, steps)).abs().max() > 1e-3
    torch.testing.assert_close(guided, run(ChainOptions(scale=0, **shared), images, steps, conditioned))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_gradient_in_the_images_matches_finite_differences(sampler):
    layer = nn.Conv2d(3, 3, 3, padding=1).double().requires_grad_(False)
    options = ChainOptions(1e5, sampler=sampler, clip=False, eta=0.5)

    def purify(images):
        return run(options, images, [60, 40, 20], lambda x, t: torch.tanh(layer(x)))

    assert torch.autograd.gradcheck(purify, (0.5 * random(1, 3, 11, 11)).requires_grad_(), fast_mode=True, atol=1e-4)


# Samplers that coincide


def weights(schedule, start, **options):
    return [
        (s.weight_x0, s.weight_xt, s.sigma, s.weight_previous)
        for s in reverse_steps(schedule, start, ChainOptions(**options))
    ]


@pytest.mark.parametrize("steps", [list(range(45, 0, -1)), [178, 90, 33, 2]])
def test_ddim_of_eta_1_and_the_sde_of_order_1_are_the_ddpm(steps):
    chain = LINEAR.at(steps)
    reference = weights(chain, len(chain), sampler="ddpm")
    for other in ({"sampler": "ddim", "eta": 1.0}, {"sampler": "sde-dpm-solver++", "order": 1}):
        for ours, expected in zip(weights(chain, len(chain), **other), reference, strict=True):
            assert ours == pytest.approx(expected, rel=1e-7, abs=1e-10)


def test_the_ode_of_order_1_is_ddim():
    chain = LINEAR.at([178, 90, 33, 2])
    reference = weights(chain, 4, sampler="ddim")
    for ours, expected in zip(weights(chain, 4, sampler="dpm-solver++", order=1), reference, strict=True):
        assert ours == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_euler_is_the_ddpm_to_first_order_in_beta():
    first = reverse_steps(LINEAR, 100, ChainOptions(sampler="euler", clip=False))
    second = reverse_steps(LINEAR, 100, ChainOptions(variance="fixed_large", clip=False))
    for step, other in zip(first, second, strict=True):
        beta = float(BETAS[step.t - 1])
        # As functions of x and eps, where x0_hat = (x - sqrt(1 - A) eps) / sqrt(A).
        of_x = [s.weight_xt + s.weight_x0 / s.alpha_bar**0.5 for s in (step, other)]
        of_noise = [s.weight_x0 * (1 / s.alpha_bar - 1) ** 0.5 for s in (step, other)]
        assert of_x[0] == pytest.approx(of_x[1], abs=beta**2)
        assert of_noise[0] == pytest.approx(of_noise[1], abs=beta**1.5)
        assert step.sigma == pytest.approx(beta**0.5)


def gaussian(mean, variance):
    """The exact noise predictor of pixels that are independent N(mean, variance)."""

    def epsilon(x, timesteps):
        alpha_bar = LINEAR.alpha_bars[timesteps[0]]
        gain = alpha_bar.sqrt() * variance / (alpha_bar * variance + 1 - alpha_bar)
        x0 = mean + gain * (x - alpha_bar.sqrt() * mean)
        return (x - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()

    return epsilon


@pytest.mark.parametrize(("sampler", "order", "gain"), [("ddim", 2, 2), ("dpm-solver++", 1, 2), ("dpm-solver++", 2, 4)])
def test_the_ode_is_solved_to_its_order(sampler, order, gain):
    # The probability flow of a Gaussian, t = 420 to 100, is x -> sqrt(A') m + sqrt(V' / V) (x - sqrt(A) m), where
    # V = A v + 1 - A. Twice the steps divide the error by 2^order.
    mean, variance, x = 0.3, 0.04, random(1, 3, 8, 8)
    options = ChainOptions(scale=0, sampler=sampler, order=order, clip=False)
    errors = []
    for count in (16, 32):
        grid = torch.linspace(420, 100, count + 1).round().int().tolist()
        chain, state, before = LINEAR.at(grid), x, None
        for step in reverse_steps(chain, len(chain), options)[:-1]:
            state, before = guided_step(gaussian(mean, variance), step, options, state, x, torch.zeros_like(x), before)
        start, end = LINEAR.alpha_bars[419], LINEAR.alpha_bars[99]
        spread = ((end * variance + 1 - end) / (start * variance + 1 - start)).sqrt()
        errors.append(float((state - end.sqrt() * mean - spread * (x - start.sqrt() * mean)).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(gain, rel=0.1)


# diffusers


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("clip", [True, False])
def test_ddim_equals_diffusers(eta, clip):
    scheduler = DDIMScheduler(beta_start=1e-4, beta_end=0.02, clip_sample=clip)
    scheduler.alphas_cumprod, scheduler.final_alpha_cumprod = (1 - BETAS).cumprod(0), torch.tensor(1.0).double()
    scheduler.set_timesteps(20)
    chosen = scheduler.timesteps[-4:].tolist()
    assert chosen == [150, 100, 50, 0]
    images, source = 2 * random(2, 3, 8, 8), Recorded()
    options = ChainOptions(scale=0, sampler="ddim", eta=eta, clip=clip)
    ours = guided_reverse_chain(smooth, LINEAR.at([t + 1 for t in chosen]), options, images, 4, source)
    x = scheduler.add_noise(images, source.draws[0], torch.tensor([150]))
    for t, z in zip(chosen, source.draws[2::2], strict=True):
        noise = smooth(x, torch.tensor([t]))
        x = scheduler.step(noise, t, x, eta, use_clipped_model_output=True, variance_noise=z).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sampler", ["dpm-solver++", "sde-dpm-solver++"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("steps", [[178, 120, 77, 31, 9], [45], [45, 20]])
def test_dpm_solver_equals_diffusers(sampler, order, steps):
    scheduler = DPMSolverMultistepScheduler(
        beta_start=1e-4, beta_end=0.02, algorithm_type=sampler.replace("-solver", "solver"), solver_order=order
    )
    scheduler.alphas_cumprod = (1 - BETAS).cumprod(0)
    scheduler.set_timesteps(timesteps=[t - 1 for t in steps])
    scheduler.sigmas = torch.cat([(1 / scheduler.alphas_cumprod - 1).sqrt()[[t - 1 for t in steps]], torch.zeros(1)])
    images, source = random(2, 3, 8, 8), Recorded()
    options = ChainOptions(scale=0, sampler=sampler, order=order, clip=False)
    ours = guided_reverse_chain(smooth, LINEAR.at(steps), options, images, len(steps), source)
    x = LINEAR.diffuse(images, steps[0] - 1, source.draws[0])
    for t, z in zip(scheduler.timesteps, source.draws[2::2], strict=True):
        x = scheduler.step(smooth(x, t[None]), t, x, variance_noise=z).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("start", "calls"), [(45, 1), (45, 2), (45, 7), (45, 45), (1000, 10)])
def test_calls_are_spread_as_the_rule_trailing(start, calls):
    expected = torch.arange(start, 0, -start / calls, dtype=torch.float64).round().int().tolist()[:calls]
    assert trailing_steps(start, calls) == expected
    assert trailing_steps(start, calls)[0] == start
    assert len(LINEAR.at(trailing_steps(start, calls))) == calls


# Strength


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("schedule", ["constant", "noise_to_signal"])
def test_the_pull_is_the_sum_of_the_shares(sampler, schedule):
    options = ChainOptions(pull=0.7, metric="mse", sampler=sampler, scale_schedule=schedule, clip=False, order=1)
    chain, x, target = LINEAR.at([178, 90, 33, 2]), random(1, 3, 8, 8), random(1, 3, 8, 8, seed=1)
    steps = reverse_steps(chain, 4, options, guidance_scale(chain, 4, options, x.numel()))
    plain = ChainOptions(scale=0, sampler=sampler, clip=False, order=1)
    total = 0.0
    for step, free in zip(steps, reverse_steps(chain, 4, plain), strict=True):
        moved, still = (guided_step(smooth, s, o, x, target, x)[0] for s, o in ((step, options), (free, plain)))
        total += float(((moved - still) / (target - x)).mean())
    assert total == pytest.approx(0.7)


def test_the_scale_of_a_pull_of_one():
    # The values that guided the choice of s: 45 of 1000 and 45 of 250 steps, 32 and 256 px, sigma^2 = beta.
    def scale(schedule, side):
        options = ChainOptions(pull=1.0, variance="fixed_large")
        return guidance_scale(schedule, 45, options, 3 * side * side)

    assert scale(LINEAR, 32) == pytest.approx(3 * 32 * 32 / (2 * float(BETAS[:45].sum())))
    assert scale(LINEAR, 32) == pytest.approx(6.3e4, rel=0.01)
    assert scale(LINEAR.respace(250), 32) == pytest.approx(4.7e3, rel=0.02)
    assert scale(LINEAR, 256) == pytest.approx(4.1e6, rel=0.02)


def test_rounds_add_up():
    once, thrice = (pull_per_scale(LINEAR, 45, ChainOptions(rounds=rounds), 3072) for rounds in (1, 3))
    assert thrice == pytest.approx(3 * once)


def test_the_scale_follows_the_noise_to_signal_ratio():
    constant, gdmp = (
        reverse_steps(LINEAR, 36, ChainOptions(scale=5.0, variance="fixed_large", scale_schedule=kind))
        for kind in ("constant", "noise_to_signal")
    )
    alpha_bars = (1 - BETAS).cumprod(0)
    for plain, scaled in zip(constant, gdmp, strict=True):
        alpha_bar = float(alpha_bars[plain.t - 1])
        assert scaled.guidance == pytest.approx(plain.guidance * math.sqrt((1 - alpha_bar) / alpha_bar))


def test_a_pull_that_no_scale_has_is_refused():
    with pytest.raises(ValueError, match=r"pull=1\.0: a chain of one step with variance fixed_small"):
        run(ChainOptions(pull=1.0), random(1, 3, 12, 12), [45])
    assert run(ChainOptions(pull=1.0, sampler="ddim"), random(1, 3, 12, 12), [45]).isfinite().all()


# Learned variance


def learned(v):
    return lambda x, t: torch.cat([smooth(x, t), torch.full_like(x, v)], dim=1)


@pytest.mark.parametrize("chain", [LINEAR, LINEAR.respace(250)], ids=["all", "respaced"])
@pytest.mark.parametrize(("v", "kind"), [(-1.0, "fixed_small"), (1.0, "fixed_large")])
@pytest.mark.parametrize("metric", ["mse", "ssim"])
def test_the_ends_of_a_learned_variance_are_the_fixed_ones(chain, v, kind, metric):
    images = 0.3 * random(2, 3, 12, 12)
    ends = [
        guided_reverse_chain(epsilon, chain, ChainOptions(1e4, metric, variance=variance), images, 9, Recorded())
        for epsilon, variance in ((learned(v), "learned"), (smooth, kind))
    ]
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-7, atol=1e-9)


def test_a_learned_variance_is_geometric_between_its_ends_per_pixel():
    v = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]).double().view(1, 1, 1, 5)
    step = reverse_steps(LINEAR, 30, ChainOptions(variance="learned"))[0]
    beta, small = float(BETAS[29]), float(LINEAR.variances("fixed_small")[29])
    expected = torch.tensor(
        [small * (beta / small) ** ((one + 1) / 2) for one in v.flatten().tolist()], dtype=torch.float64
    )
    torch.testing.assert_close(learned_variance(v, step.log_bounds).flatten(), expected, rtol=1e-9, atol=0)


def test_a_learned_variance_scales_noise_and_guidance_of_its_pixels():
    options = ChainOptions(1e5, "mse", variance="learned", clip=False)
    step, v = reverse_steps(LINEAR, 30, options)[0], random(1, 3, 8, 8, seed=3)
    x, target, z = (random(1, 3, 8, 8, seed=seed) for seed in (0, 1, 2))
    ours = guided_step(lambda x, t: torch.cat([smooth(x, t), v], dim=1), step, options, x, target, z)[0]
    alpha_bar, before, beta = LINEAR.alpha_bars[29], LINEAR.alpha_bars[28], BETAS[29]
    share = (v + 1) / 2
    variance = torch.exp(share * beta.log() + (1 - share) * (beta * (1 - before) / (1 - alpha_bar)).log())
    mean = (x - beta / (1 - alpha_bar).sqrt() * smooth(x, torch.tensor([29]))) / (1 - beta).sqrt()
    expected = mean - 1e5 * variance * 2 * (x - target) / x.numel() + variance.sqrt() * z
    torch.testing.assert_close(ours, expected)


# Rounds


def test_rounds_begin_from_the_result_and_keep_their_target(monkeypatch):
    images, source, targets = random(1, 3, 12, 12), Recorded(), []

    def spy(metric, x, target):
        targets.append(target)
        return torch.zeros_like(x)

    monkeypatch.setattr("lightning_modules.purification.chain.distance_gradient", spy)
    seen = []
    options = ChainOptions(rounds=2, overnoise=1)
    end = guided_reverse_chain(smooth, LINEAR, options, images, 3, source, lambda t, x: seen.append((t, x)))
    assert [t for t, _ in seen] == [3, 2, 1, 3, 2, 1, 0]
    # GDMP's CIFAR loop: noised to index 3 (t = 4), denoised from index 2 (t = 3).
    assert torch.equal(seen[0][1], LINEAR.diffuse(images, 3, source.draws[0]))
    once = guided_reverse_chain(smooth, LINEAR, ChainOptions(overnoise=1), images, 3, Recorded())
    torch.testing.assert_close(seen[3][1], LINEAR.diffuse(once, 3, source.draws[7]))
    assert torch.equal(targets[4], LINEAR.diffuse(images, 1, source.draws[10]))
    assert torch.equal(seen[-1][1], end)


# Errors


@pytest.mark.parametrize("steps", [[], [3, 3], [1, 2], [1001, 4], [4, 0]])
def test_steps_in_another_order_or_outside_the_chain_are_refused(steps):
    with pytest.raises(ValueError, match=r"expected strictly descending steps t within 1000\.\.1"):
        LINEAR.at(steps)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "heun"}, "sampler='heun': expected one of ddpm, ddim"),
        ({"scale_schedule": "up"}, "scale_schedule='up'"),
        ({"scale": -1.0}, r"scale=-1\.0: expected 0 or more"),
        ({"pull": -1.0}, r"pull=-1\.0: expected 0 or more"),
        ({"eta": 2.0}, r"eta=2\.0: expected 0 to 1"),
        ({"order": 3}, "order=3: expected 1 or 2"),
        ({"rounds": 0}, "rounds=0: expected at least 1"),
        ({"overnoise": -1}, "overnoise=-1"),
        ({"form": "literal", "sampler": "ddim"}, "form='literal' is eq. 15"),
        ({"form": "literal", "pull": 1.0}, "form='literal' is eq. 15"),
        ({"pull": 1.0, "reduction": "batch_mean"}, r"pull=1\.0 needs reduction='image_mean'"),
    ],
)
def test_an_impossible_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        ChainOptions(**options)


@pytest.mark.parametrize("calls", [0, 46])
def test_an_impossible_number_of_calls_is_refused(calls):
    with pytest.raises(ValueError, match=rf"calls={calls}: expected 1\.\.45"):
        trailing_steps(45, calls)
