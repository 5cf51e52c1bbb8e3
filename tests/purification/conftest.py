"""A network small enough for tests that run it hundreds of times."""

import pytest
import torch
from diffusers import UNet2DModel

from lightning_modules.purification import Denoiser, Diffusion, DiffusionSchedule

TINY = {
    "sample_size": 16,
    "layers_per_block": 1,
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
    "add_attention": False,
}


def new_unet(seed=0, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(**{**TINY, **changes}).eval()


@pytest.fixture
def unet_arguments():
    """Arguments of the tiny U-Net."""
    return dict(TINY)


@pytest.fixture
def make_unet():
    """Build a U-Net with random weights: ``make_unet(seed, **changes)``."""
    return new_unet


@pytest.fixture
def diffusion():
    """A tiny diffusion model with random weights."""
    return Diffusion(Denoiser(new_unet()), DiffusionSchedule.linear())


@pytest.fixture
def images():
    """Nine pictures of 16 px in [0, 1], each different, with smooth parts and edges."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(9, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=16, mode="bilinear", align_corners=False)
    return (smooth + 0.1 * torch.rand(9, 3, 16, 16, generator=generator)).clamp(0, 1)
