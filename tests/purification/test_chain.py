"""The reverse chain against diffusers, autograd, and denoisers whose result is known in closed form."""

import pytest
import pytorch_msssim
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers import scheduling_ddpm
from torch import nn

from lightning_modules.purification import DiffusionSchedule, chain
from lightning_modules.purification.chain import (
    guided_reverse_chain,
    guided_step,
    predict_x0,
)
from lightning_modules.purification.options import ChainOptions
from lightning_modules.purification.samplers import reverse_steps
from lightning_modules.randomness import SampleNoise

LINEAR = DiffusionSchedule.linear()
PLAIN = ChainOptions(scale=0)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def noise_source(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=generator, dtype=like.dtype)


def step_at(t, options, schedule=LINEAR):
    return reverse_steps(schedule, t, options)[0]


def take_step(*arguments):
    return guided_step(*arguments)[0]


def half_of_x(x, timesteps):
    del timesteps
    return 0.5 * x


class Recorded:
    """A noise source that keeps what it drew."""

    def __init__(self, seed=0):
        self.source, self.draws = noise_source(seed), []

    def __call__(self, like):
        self.draws.append(self.source(like))
        return self.draws[-1]


# Denoisers with known results


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("schedule", [LINEAR, LINEAR.respace(250)], ids=["all", "respaced"])
def test_an_oracle_returns_the_clean_image(schedule, variance):
    clean = random(2, 3, 16, 16).clamp(-1, 1)
    attacked = clean + 0.05 * random(2, 3, 16, 16, seed=1).sign()

    def oracle(x, timesteps):
        alpha_bar = LINEAR.alpha_bars[timesteps[0]]
        return ((x - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()).float()

    purified = guided_reverse_chain(
        oracle, schedule, ChainOptions(scale=0, variance=variance), attacked, 45, noise_source()
    )
    torch.testing.assert_close(purified, clean, rtol=0, atol=1e-4)


def gaussian_prior(mean, variance):
    """The exact noise predictor of pixels that are independent N(mean, variance): a Wiener filter."""

    def epsilon(x, timesteps):
        alpha_bar = float(LINEAR.alpha_bars[timesteps[0]])
        gain = alpha_bar**0.5 * variance / (alpha_bar * variance + 1 - alpha_bar)
        x0 = mean + gain * (x - alpha_bar**0.5 * mean)
        return (x - alpha_bar**0.5 * x0) / (1 - alpha_bar) ** 0.5

    return epsilon


def assert_standard_normal(scores):
    count = scores.numel()
    assert abs(float(scores.mean())) < 5 / count**0.5
    assert abs(float(scores.var()) - 1) < 5 * (2 / count) ** 0.5


@pytest.mark.parametrize("schedule", [LINEAR, LINEAR.respace(250)], ids=["all", "respaced"])
def test_a_standard_normal_prior_has_its_closed_form(schedule):
    # Under N(0, 1) the exact reverse step is sqrt(a) x + sqrt(beta) z, whatever t. From x_T = sqrt(A) y + noise
    # the end has mean A y; its variance is A (1 - A) from the start, and telescoped step noises 1 - A, of which
    # beta_1 is missing since t = 1 adds none.
    options = ChainOptions(scale=0, variance="fixed_large", clip=False)
    y = random(64, 3, 16, 16, dtype=torch.float64)
    end = guided_reverse_chain(gaussian_prior(0.0, 1.0), schedule, options, y, 45, noise_source(1))
    alpha_bar, first = float(schedule.alpha_bars[44]), float(schedule.betas[0])
    assert_standard_normal((end - alpha_bar * y) / (1 - alpha_bar**2 - first) ** 0.5)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_a_gaussian_prior_follows_its_linear_recursion(variance):
    mean = torch.linspace(-0.5, 0.5, 3 * 16 * 16, dtype=torch.float64).view(3, 16, 16)
    spread = torch.linspace(0.01, 0.3, 3 * 16 * 16, dtype=torch.float64).view(3, 16, 16).flip(0)
    y = random(64, 3, 16, 16, dtype=torch.float64)
    options = ChainOptions(scale=0, variance=variance, clip=False)
    end = guided_reverse_chain(gaussian_prior(mean, spread), LINEAR, options, y, 45, noise_source(1))

    # E and V of x_t given y, by the law of total variance with x0_hat = E[x0 | x_t].
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha_bars = torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)])
    expected, variance_t = alpha_bars[45].sqrt() * y, (1 - alpha_bars[45]) * torch.ones(3, 16, 16)
    for t in range(45, 0, -1):
        now, before, beta = alpha_bars[t], alpha_bars[t - 1], betas[t - 1]
        gain = now.sqrt() * spread / (now * spread + 1 - now)
        posterior = before.sqrt() * beta / (1 - now), (1 - beta).sqrt() * (1 - before) / (1 - now)
        slope = posterior[0] * gain + posterior[1]
        expected = slope * expected + posterior[0] * (1 - gain * now.sqrt()) * mean
        added = beta if variance == "fixed_large" else beta * (1 - before) / (1 - now)
        variance_t = slope**2 * variance_t + (added if t > 1 else 0)
    assert_standard_normal((end - expected) / variance_t.sqrt())


# diffusers


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("respacing", [None, 250])
def test_the_unguided_chain_equals_diffusers(monkeypatch, make_unet, variance, clip, respacing):
    unet, start = make_unet(), 6
    schedule = LINEAR if respacing is None else LINEAR.respace(respacing)
    source, images = Recorded(), random(2, 3, 16, 16).clamp(-1, 1)
    with torch.no_grad():
        ours = guided_reverse_chain(
            lambda x, t: unet(x, t).sample,
            schedule,
            ChainOptions(scale=0, variance=variance, clip=clip),
            images,
            start,
            source,
        )
        scheduler = DDPMScheduler(beta_start=1e-4, beta_end=0.02, variance_type=variance, clip_sample=clip)
        # Its float32 tables are off by 6e-4 at t = 1, where 1 - A is 1e-4.
        scheduler.betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        scheduler.alphas_cumprod = torch.cumprod(1 - scheduler.betas, dim=0)
        timesteps = schedule.timesteps[:start].flip(0)
        scheduler.set_timesteps(timesteps=timesteps.tolist())
        x = scheduler.add_noise(images, source.draws[0], timesteps[:1])
        steps = iter(source.draws[2::2])  # the start's, then per step the target's and the step's
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *_, **__: next(steps))
        for t in timesteps:
            x = scheduler.step(unet(x, t).sample, t, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=0, atol=5e-6)


# One guided step


def autograd_of(metric, x, target):
    x = x.clone().requires_grad_()
    if metric == "ssim":
        distance = -pytorch_msssim.ssim(x, target, data_range=2, size_average=False)
    else:
        distance = (x - target).square().flatten(1).mean(dim=1)
    return torch.autograd.grad(distance.sum(), x)[0]


@pytest.mark.parametrize("metric", ["ssim", "mse"])
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("t", [2, 45])
def test_one_step_is_equation_6(metric, variance, t):
    x, target, z = (random(2, 3, 16, 16, seed=seed, dtype=torch.float64) for seed in (1, 2, 3))
    options = ChainOptions(1e5, metric, variance=variance, clip=False)
    step = step_at(t, options)
    ours = take_step(half_of_x, step, options, x, target, z)

    beta, now, before = LINEAR.betas[t - 1], LINEAR.alpha_bars[t - 1], LINEAR.alpha_bars[t - 2]
    sigma2 = beta if variance == "fixed_large" else beta * (1 - before) / (1 - now)
    mean = (x - beta / (1 - now).sqrt() * half_of_x(x, None)) / (1 - beta).sqrt()  # eq. 12, with a_t
    expected = mean - 1e5 * sigma2 * autograd_of(metric, x, target) + sigma2.sqrt() * z
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("metric", ["ssim", "mse"])
def test_the_literal_form_is_equation_15(metric):
    x, target, z = (random(2, 3, 16, 16, seed=seed, dtype=torch.float64) for seed in (1, 2, 3))
    options = ChainOptions(1000, metric, form="literal", variance="fixed_large", clip=False)
    ours = take_step(half_of_x, step_at(45, options), options, x, target, z)
    beta, now, epsilon = LINEAR.betas[44], LINEAR.alpha_bars[44], half_of_x(x, None)
    mean = (x - beta / (1 - now).sqrt() * epsilon) / (1 - beta).sqrt()
    expected = mean - 1000 * autograd_of(metric, x, target) * epsilon + beta.sqrt() * z
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


def test_x0_is_clipped_where_asked():
    x = 3 * random(1, 3, 4, 4)
    free = predict_x0(x, 0.1 * x, 0.9, clip=False)
    torch.testing.assert_close(0.9**0.5 * free + 0.1**0.5 * 0.1 * x, x)  # eq. 3
    assert free.abs().max() > 1
    assert torch.equal(predict_x0(x, 0.1 * x, 0.9, clip=True), free.clamp(-1, 1))


@pytest.mark.parametrize(
    ("schedule", "side", "pull"), [(LINEAR, 32, 0.0158), (LINEAR, 256, 0.000246), (LINEAR.respace(250), 32, 0.215)]
)
def test_the_mse_guidance_pulls_by_k(schedule, side, pull):
    # x <- (1 - k) x + k target with k_t = 2 s sigma_t^2 / N; K is their sum.
    options, pixels = ChainOptions(1000, "mse", variance="fixed_large", clip=False), 3 * side * side
    steps = reverse_steps(schedule, 45, options)
    total = 0.0
    x, target = random(1, 3, side, side, dtype=torch.float64), random(1, 3, side, side, seed=1, dtype=torch.float64)
    for step in steps:
        guided = take_step(half_of_x, step, options, x, target, torch.zeros_like(x))
        unclipped = ChainOptions(0, clip=False, variance="fixed_large")
        free = take_step(half_of_x, step_at(step.t, unclipped, schedule), unclipped, x, target, torch.zeros_like(x))
        shares = (guided - free) / (target - x)
        k = 2 * 1000 * float(schedule.betas[step.t - 1]) / pixels
        torch.testing.assert_close(shares, torch.full_like(shares, k), rtol=1e-6, atol=1e-10)
        total += float(shares.mean())
    assert total == pytest.approx(2 * 1000 * float(schedule.betas[:45].sum()) / pixels)
    assert total == pytest.approx(pull, rel=0.01)


def test_the_last_step_adds_no_noise_and_is_guided_with_the_variance_of_the_second():
    options = ChainOptions(1e6, "mse")
    step, x, target = step_at(1, options), random(1, 3, 8, 8), random(1, 3, 8, 8, seed=1)
    assert step.sigma == 0
    assert step.guidance == pytest.approx(1e6 * float(LINEAR.variances("fixed_small")[1]))
    one, other = (take_step(half_of_x, step, options, x, target, random(1, 3, 8, 8, seed=s)) for s in (2, 3))
    assert torch.equal(one, other)
    unguided = take_step(half_of_x, step_at(1, PLAIN), PLAIN, x, target, x)
    torch.testing.assert_close(one - unguided, step.guidance * 2 / 192 * (target - x), rtol=1e-4, atol=1e-5)
    large = ChainOptions(1e6, "mse", variance="fixed_large")
    assert step_at(1, large).sigma == 0
    assert step_at(1, large).guidance == pytest.approx(1e6 * 1e-4)


def test_the_steps_run_down_to_the_first_with_the_original_timesteps():
    steps = reverse_steps(LINEAR.respace(250), 45, PLAIN)
    assert [step.t for step in steps] == list(range(45, 0, -1))
    assert (steps[0].timestep, steps[-1].timestep) == (177, 0)
    assert all(step.sigma > 0 for step in steps[:-1])
    assert all(step.guidance == 0 for step in steps)


# Options of the chain


def push(options, images, **kwargs):
    """What guidance adds to the end of a chain of one step."""
    unguided = ChainOptions(0, clip=options.clip)
    guided = guided_reverse_chain(half_of_x, LINEAR, options, images, 1, noise_source(), **kwargs)
    return guided - guided_reverse_chain(half_of_x, LINEAR, unguided, images, 1, noise_source(), **kwargs)


@pytest.mark.parametrize("metric", ["ssim", "mse"])
def test_the_sum_is_the_mean_times_the_pixels(metric):
    images = random(3, 3, 12, 12, dtype=torch.float64).clamp(-1, 1)
    mean, total, batch = (
        push(ChainOptions(1e3, metric, reduction=reduction), images)
        for reduction in ("image_mean", "image_sum", "batch_mean")
    )
    torch.testing.assert_close(total, 3 * 12 * 12 * mean)
    torch.testing.assert_close(batch, mean / 3)


@pytest.mark.parametrize(("reduction", "independent"), [("image_mean", 1), ("image_sum", 1), ("batch_mean", 0)])
def test_only_the_batch_mean_depends_on_the_batch(reduction, independent):
    images, names = random(4, 3, 12, 12, dtype=torch.float64).clamp(-1, 1), ["a", "b", "c", "d"]
    options = ChainOptions(1e4, reduction=reduction)

    def run(rows):
        noise = SampleNoise(0, "test", names[rows])
        return guided_reverse_chain(half_of_x, LINEAR, options, images[rows], 3, noise)

    difference = (run(slice(4))[1:2] - run(slice(1, 2))).abs().max()
    assert bool(difference < 1e-10) == bool(independent)


@pytest.mark.parametrize("kind", ["fresh", "shared", "none"])
def test_the_target_is_noised_as_asked(monkeypatch, kind):
    images, source, targets = random(2, 3, 12, 12), Recorded(), []

    def spy(metric, x, target):
        del metric
        targets.append(target)
        return torch.zeros_like(x)

    monkeypatch.setattr(chain, "distance_gradient", spy)
    guided_reverse_chain(half_of_x, LINEAR, ChainOptions(target_noise=kind), images, 3, source)
    start, fresh = source.draws[0], source.draws[1::2]
    for place, t in enumerate((3, 2, 1)):
        expected = {
            "fresh": LINEAR.diffuse(images, t - 1, fresh[place]),
            "shared": LINEAR.diffuse(images, t - 1, start),
            "none": images,
        }
        assert torch.equal(targets[place], expected[kind])


def test_options_share_their_noise():
    images = random(2, 3, 16, 16).clamp(-1, 1)
    ends, counts = [], []
    for options in (
        PLAIN,
        ChainOptions(scale=1e-3),
        ChainOptions(scale=1e-3, metric="mse", target_noise="none"),
        ChainOptions(scale=1e-3, target_noise="shared", reduction="batch_mean"),
        ChainOptions(scale=1e6),
    ):
        source = Recorded()
        ends.append(guided_reverse_chain(half_of_x, LINEAR, options, images, 5, source))
        counts.append(len(source.draws))
    assert counts == [1 + 2 * 5] * 5
    for end in ends[1:4]:
        torch.testing.assert_close(end, ends[0], rtol=0, atol=1e-6)
    assert (ends[4] - ends[0]).abs().max() > 1e-3


def test_the_chain_is_observed_from_start_to_end():
    images, seen = random(2, 3, 12, 12), []
    source = Recorded()
    end = guided_reverse_chain(
        half_of_x,
        LINEAR,
        ChainOptions(),
        images.requires_grad_(),
        4,
        source,
        observe=lambda t, x: seen.append((t, x)),
    )
    assert [t for t, _ in seen] == [4, 3, 2, 1, 0]
    assert torch.equal(seen[0][1], LINEAR.diffuse(images.detach(), 3, source.draws[0]))
    assert torch.equal(seen[-1][1], end.detach())
    assert not any(x.requires_grad for _, x in seen)


# Gradients


def smooth_denoiser():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 3, 3, padding=1).double().requires_grad_(False)
    return lambda x, t: torch.tanh(layer(x)) * (1 + t.view(-1, 1, 1, 1) / 1000)


@pytest.mark.parametrize("metric", ["ssim", "mse"])
@pytest.mark.parametrize("form", ["posterior", "literal"])
@pytest.mark.parametrize("kind", ["fresh", "none"])
def test_the_gradient_in_the_images_matches_finite_differences(metric, form, kind):
    scale = (1e6 if form == "posterior" else 1e2) * (1 if metric == "ssim" else 10)
    options = ChainOptions(scale, metric, form, target_noise=kind, clip=False)
    epsilon = smooth_denoiser()

    def purify(images):
        return guided_reverse_chain(epsilon, LINEAR, options, images, 3, noise_source())

    images = 0.5 * random(1, 3, 11, 11, dtype=torch.float64)
    assert (purify(images) - guided_reverse_chain(epsilon, LINEAR, PLAIN, images, 3, noise_source())).abs().max() > 1e-3
    assert torch.autograd.gradcheck(purify, images.requires_grad_(), fast_mode=True, atol=1e-4)


def test_checkpointing_changes_no_gradient(monkeypatch):
    epsilon, images = smooth_denoiser(), random(2, 3, 12, 12, dtype=torch.float64)

    def gradient():
        leaf = images.clone().requires_grad_()
        end = guided_reverse_chain(epsilon, LINEAR, ChainOptions(1e5), leaf, 4, noise_source())
        return torch.autograd.grad(end.square().sum(), leaf)[0]

    checkpointed = gradient()
    monkeypatch.setattr(chain, "checkpoint", lambda function, *args, use_reentrant: function(*args))
    assert torch.equal(checkpointed, gradient())


# Errors


@pytest.mark.parametrize(
    ("name", "value"),
    [("metric", "lpips"), ("form", "eq6"), ("variance", "large"), ("target_noise", "yes"), ("reduction", "sum")],
)
def test_an_unknown_option_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name}='{value}': expected one of "):
        ChainOptions(**{name: value})
