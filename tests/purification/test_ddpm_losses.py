"""L_simple against diffusers' forward process."""

import torch
from diffusers import DDPMScheduler

from lightning_modules.purification import DiffusionSchedule
from lightning_modules.purification.losses import diffuse_each, simple_loss

SCHEDULE = DiffusionSchedule.linear()


def draws(count=4):
    generator = torch.Generator().manual_seed(0)
    x0 = torch.rand(count, 3, 8, 8, generator=generator) * 2 - 1
    return x0, torch.tensor([0, 44, 177, 999])[:count], torch.randn(x0.shape, generator=generator)


def test_every_image_is_noised_to_its_own_step():
    x0, index, noise = draws()
    expected = DDPMScheduler(beta_start=1e-4, beta_end=0.02).add_noise(x0, noise, index)
    torch.testing.assert_close(diffuse_each(SCHEDULE, x0, index, noise), expected, rtol=1e-4, atol=1e-5)


def test_l_simple_is_the_mean_squared_error_of_the_noise():
    x0, index, noise = draws()
    told = []

    def epsilon(x, timesteps):
        told.append(timesteps)
        return 0.5 * x

    loss = simple_loss(epsilon, SCHEDULE, x0, index, noise)
    x = DDPMScheduler(beta_start=1e-4, beta_end=0.02).add_noise(x0, noise, index)
    torch.testing.assert_close(loss, (0.5 * x - noise).square().mean(dim=(1, 2, 3)), rtol=1e-4, atol=1e-5)
    assert torch.equal(told[0], index)
    assert loss.shape == (4,)


def test_the_network_is_told_the_index_of_the_original_chain():
    x0, _, noise = draws(1)
    told = []
    simple_loss(
        lambda x, timesteps: (told.append(timesteps), x)[1], SCHEDULE.respace(250), x0, torch.tensor([44]), noise
    )
    assert told[0].tolist() == [177]


def test_the_oracle_has_no_loss():
    x0, index, noise = draws()
    assert float(simple_loss(lambda x, t: noise, SCHEDULE, x0, index, noise).max()) == 0
