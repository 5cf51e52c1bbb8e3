"""The schedule against diffusers' DDPMScheduler and against what respacing must keep."""

import pytest
import torch
from diffusers import DDPMScheduler

from lightning_modules.purification import DiffusionSchedule

STEPS = [1, 2, 45, 1000]
LINEAR = DiffusionSchedule.linear()


def reference(kind="fixed_small"):
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, variance_type=kind)
    scheduler.set_timesteps(1000)
    return scheduler


@pytest.mark.parametrize("t", STEPS)
def test_alpha_bar_equals_diffusers(t):
    assert float(LINEAR.alpha_bars[t - 1]) == pytest.approx(float(reference().alphas_cumprod[t - 1]), rel=1e-4)


@pytest.mark.parametrize("kind", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("t", STEPS)
def test_variances_equal_diffusers(t, kind):
    ours = float(LINEAR.variances(kind)[t - 1])
    assert ours == pytest.approx(float(reference(kind)._get_variance(t - 1)), rel=1e-3, abs=1e-12)


@pytest.mark.parametrize("t", STEPS)
def test_posterior_weights_equal_diffusers(t):
    # The step is linear in x0_hat and x_t: two probes read both weights off diffusers' mean.
    scheduler, zero, one = reference(), torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    alpha_bar = scheduler.alphas_cumprod[t - 1]

    def mean(x0, x):
        epsilon = (x - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
        previous = scheduler.step(epsilon, t - 1, x, generator=torch.Generator().manual_seed(0)).prev_sample
        still = scheduler.step(zero, t - 1, zero, generator=torch.Generator().manual_seed(0)).prev_sample
        return float((previous - still).mean())

    of_x0, of_xt = LINEAR.posterior_weights()
    assert float(of_x0[t - 1]) == pytest.approx(mean(one, zero), rel=1e-3, abs=1e-5)
    both = float(of_x0[t - 1] + 0.5 * of_xt[t - 1])
    assert both == pytest.approx(mean(one, 0.5 * one), rel=1e-3, abs=1e-5)


def test_the_posterior_is_bayes_rule():
    # q(x_{t-1} | x_t, x_0) from the product of the two Gaussians q(x_t | x_{t-1}) and q(x_{t-1} | x_0).
    a, before = 1 - LINEAR.betas[1:], LINEAR.previous_alpha_bars[1:]
    precision = a / LINEAR.betas[1:] + 1 / (1 - before)
    of_x0, of_xt = LINEAR.posterior_weights()
    torch.testing.assert_close(LINEAR.variances("fixed_small")[1:], 1 / precision)
    torch.testing.assert_close(of_xt[1:], a.sqrt() / LINEAR.betas[1:] / precision)
    torch.testing.assert_close(of_x0[1:], before.sqrt() / (1 - before) / precision)


def test_the_noise_of_45_and_of_178_steps():
    deviation = (1 - LINEAR.alpha_bars).sqrt()
    assert float(deviation[44]) == pytest.approx(0.155, abs=5e-4)
    assert float(deviation[177]) == pytest.approx(0.53, abs=5e-3)


def test_guidance_takes_the_variance_of_the_second_step_at_the_first():
    small, large = LINEAR.guidance_variances("fixed_small"), LINEAR.guidance_variances("fixed_large")
    assert LINEAR.variances("fixed_small")[0] == 0
    assert small[0] == small[1] == LINEAR.variances("fixed_small")[1]
    assert torch.equal(small[1:], LINEAR.variances("fixed_small")[1:])
    assert torch.equal(large, LINEAR.betas)


def test_respacing_keeps_the_noise_of_the_kept_steps():
    respaced = LINEAR.respace(250)
    assert len(respaced) == 250
    assert respaced.timesteps[44] == 177
    assert respaced.timesteps[[0, -1]].tolist() == [0, 999]
    assert (respaced.timesteps.diff() > 0).all()
    torch.testing.assert_close(respaced.alpha_bars, LINEAR.alpha_bars[respaced.timesteps], rtol=1e-10, atol=0)
    assert ((respaced.betas > 0) & (respaced.betas < 1)).all()
    again = respaced.respace(10)
    torch.testing.assert_close(again.alpha_bars, LINEAR.alpha_bars[again.timesteps], rtol=1e-10, atol=0)


def test_respacing_to_all_steps_changes_nothing():
    same = LINEAR.respace(1000)
    assert torch.equal(same.timesteps, LINEAR.timesteps)
    torch.testing.assert_close(same.betas, LINEAR.betas, rtol=1e-9, atol=0)


def test_diffuse_is_equation_3():
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.rand(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 4, 4, generator=generator)
    for t in STEPS:
        expected = reference().add_noise(x0, noise, torch.tensor([t - 1]))
        torch.testing.assert_close(LINEAR.diffuse(x0, t - 1, noise), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps", [0, 1, 1001])
def test_respacing_to_an_impossible_number_is_refused(steps):
    with pytest.raises(ValueError, match=rf"respacing={steps}: expected 2..1000"):
        LINEAR.respace(steps)


def test_an_unknown_variance_is_refused():
    with pytest.raises(ValueError, match=r"variance='learned'.*fixed_small.*fixed_large"):
        LINEAR.variances("learned")
