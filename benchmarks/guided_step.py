"""A guided reverse step against one bare forward pass of its U-Net, the work that no purifier can avoid.

The step is the purifier's own: its network call, the numbers of step 45, the noised target, the guidance.
Noise is drawn beforehand. Pictures of 32 px in batches of 64, and one of 224 px.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from benchmarks.timing import clock, interleave, machine, median_interval, median_ratio, milliseconds
from lightning_modules.purification import Denoiser, Diffusion, DiffusionPurifier, DiffusionSchedule
from lightning_modules.purification.chain import guided_step
from lightning_modules.purification.samplers import reverse_steps

TARGETS = {"mse": 1.03, "ssim": 1.10}
SIZES = {"32 px, batch 64": (64, 3, 32, 32), "224 px, batch 1": (1, 3, 224, 224)}
ROUNDS = 41


def make_diffusion() -> Diffusion:
    """A U-Net of 1.9 M parameters with random weights."""
    unet = UNet2DModel(
        layers_per_block=1,
        block_out_channels=(32, 64, 128),
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        add_attention=False,
        norm_num_groups=8,
    )
    return Diffusion(Denoiser(unet), DiffusionSchedule.linear())


def guided(purifier: DiffusionPurifier, image: Tensor, x: Tensor, fresh: Tensor, z: Tensor) -> Callable[[], Tensor]:
    step = reverse_steps(purifier.schedule, purifier.calls, purifier.options)[0]

    def run() -> Tensor:
        target = purifier.schedule.diffuse(image, step.t - 1, fresh)
        return guided_step(purifier._epsilon, step, purifier.options, x, target, z)[0]

    return run


def measure(shape: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """Return, per metric, the ratio, its interval and the milliseconds of a guided step and of the bare network."""
    torch.manual_seed(0)
    diffusion = make_diffusion()
    image, x, fresh, z = (torch.randn(shape) for _ in range(4))
    timesteps = torch.full((shape[0],), 44)
    purifiers = [DiffusionPurifier(diffusion, metric=metric) for metric in TARGETS]

    def bare() -> Tensor:
        return diffusion.denoiser.unet(x, timesteps).sample

    with torch.inference_mode():
        steps = [guided(purifier, image, x, fresh, z) for purifier in purifiers]
        (forward, *ours), _ = interleave([bare, *steps], ROUNDS, clock())
    return {
        metric: {
            "ratio": round(median_ratio(times, forward), 4),
            "interval": median_interval(times, forward),
            "step_ms": milliseconds(times),
            "forward_ms": milliseconds(forward),
        }
        for metric, times in zip(TARGETS, ours, strict=True)
    }


def run() -> Iterator[dict[str, Any]]:
    """Yield one figure per size and metric."""
    for size, shape in SIZES.items():
        for metric, figures in measure(shape).items():
            name = f"guided step / U-Net forward, {metric}, {size}"
            yield {"name": name, **figures, "target": TARGETS[metric], **machine()}


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure), flush=True)
