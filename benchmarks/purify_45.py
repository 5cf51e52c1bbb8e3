"""Our 45-step purification against the same by a loop like that of the GDMP repository, with the same U-Net.

That loop, written anew: tables on the host and copied to the device at every step, SSIM's window built at every step,
its gradient by autograd through a 2-D depthwise convolution, a timestep that is printed (so that the device is waited
for), noise from the global generator. Ours: 45 steps with SSIM guidance as by default, and at its fastest setting.
Second figure: what 1 to 45 network calls take, over as many bare forward passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.guided_step import make_diffusion
from benchmarks.timing import interleave, machine, median_ratio, milliseconds
from lightning_modules.purification import Diffusion, DiffusionPurifier
from lightning_modules.randomness import SampleNoise

BATCH, SIDE, STEPS, SCALE = 16, 32, 45, 1000.0
ROUNDS = 7
TARGETS = {"float32": 1.05, "fastest": 1.3}
FASTEST: dict[str, Any] = {"precision": "bfloat16"}
CALLS = (1, 2, 5, 10, 45)


class HostTables:
    """The numbers of a DDPM in NumPy, looked up one step at a time."""

    def __init__(self, betas: NDArray[np.float64]) -> None:
        self.alpha_bars = np.cumprod(1 - betas)
        before = np.append(1.0, self.alpha_bars[:-1])
        self.of_x0 = betas * np.sqrt(before) / (1 - self.alpha_bars)
        self.of_xt = (1 - before) * np.sqrt(1 - betas) / (1 - self.alpha_bars)
        self.variance = betas * (1 - before) / (1 - self.alpha_bars)

    @staticmethod
    def at(table: NDArray[np.float64], index: int, x: Tensor) -> Tensor:
        """Copy a table to the device, and gather one entry per image."""
        rows = torch.full((len(x),), index, device=x.device)
        return torch.tensor(table, device=x.device).float().gather(0, rows).view(-1, 1, 1, 1)


def ssim_gradient(x: Tensor, target: Tensor) -> Tensor:
    """Gradient of the images' mean SSIM by autograd, with a window that is built anew."""
    taps = torch.exp(-((torch.arange(11.0) - 5) ** 2) / 4.5)
    window = torch.outer(taps, taps) / taps.sum() ** 2
    window = window.to(x).expand(x.shape[1], 1, 11, 11).contiguous()

    def blur(image: Tensor) -> Tensor:
        return F.conv2d(image, window, groups=image.shape[1])

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        m, n = blur(x), blur(target)
        xx, yy, xy = blur(x * x) - m * m, blur(target * target) - n * n, blur(x * target) - m * n
        quality = (2 * m * n + 4e-4) * (2 * xy + 36e-4) / ((m * m + n * n + 4e-4) * (xx + yy + 36e-4))
        return torch.autograd.grad(quality.mean(dim=(1, 2, 3)).sum(), x)[0]


def host_loop(diffusion: Diffusion, images: Tensor, noise_like: Callable[[Tensor], Tensor]) -> Tensor:
    """Purify images in [0, 1] as the repository does: same equations as ours, its way of computing them."""
    tables, log = HostTables(diffusion.schedule.betas.numpy()), []
    clean = 2 * images - 1

    def diffused(index: int) -> Tensor:
        alpha_bar = tables.alpha_bars[index]
        return float(np.sqrt(alpha_bar)) * clean + float(np.sqrt(1 - alpha_bar)) * noise_like(clean)

    x = diffused(STEPS - 1)
    for index in reversed(range(STEPS)):
        timesteps = torch.full((len(x),), index, device=x.device)
        log.append(f"step {timesteps.tolist()}")  # waits for the device
        noise = diffusion.denoiser.unet(x, timesteps).sample
        signal = tables.at(np.sqrt(1 / tables.alpha_bars), index, x)
        rest = tables.at(np.sqrt(1 / tables.alpha_bars - 1), index, x)
        x0 = (signal * x - rest * noise).clamp(-1, 1)
        mean = tables.at(tables.of_x0, index, x) * x0 + tables.at(tables.of_xt, index, x) * x
        factor = tables.at(tables.variance, max(index, 1), x)
        mean = mean + factor * SCALE * ssim_gradient(x, diffused(index))
        z = noise_like(x) if index else torch.zeros_like(x)
        x = mean + tables.at(tables.variance, index, x).sqrt() * z
    return ((x + 1) / 2).clamp(0, 1)


def pictures(device: str) -> tuple[Tensor, list[str]]:
    coarse = torch.rand(BATCH, 3, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, SIDE, mode="bicubic").clamp(0, 1).to(device), [str(row) for row in range(BATCH)]


def waiting(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Wait for the result: a GPU returns before it has worked."""

    def run() -> Tensor:
        result = function()
        if result.is_cuda:
            torch.cuda.synchronize()
        return result

    return run


def against_the_host_loop(device: str) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    diffusion, (images, ids) = make_diffusion(), pictures(device)
    diffusion.denoiser.to(device)
    exact, fast = DiffusionPurifier(diffusion), DiffusionPurifier(diffusion, **FASTEST)
    runs = [
        lambda: host_loop(diffusion, images, torch.randn_like),
        lambda: exact(images, ids),
        lambda: fast(images, ids),
    ]
    with torch.no_grad():
        same_noise = host_loop(diffusion, images, SampleNoise(0, "purify/0", ids))
        (theirs, *ours), results = interleave([waiting(one) for one in runs], ROUNDS)
    difference = float((same_noise - results[1]).abs().max())
    if not difference < 1e-3:
        raise RuntimeError(f"purified images differ by up to {difference}: the two do not compute the same thing")
    return [
        {
            "name": f"GDMP's loop / our 45 steps, {setting}",
            "ratio": round(median_ratio(theirs, times), 3),
            "target": TARGETS[setting],
            "loop_ms": milliseconds(theirs),
            "ours_ms": milliseconds(times),
            "batch": BATCH,
            "side": SIDE,
            "device": device,
            **machine(),
        }
        for setting, times in zip(TARGETS, ours, strict=True)
    ]


def by_calls(device: str) -> dict[str, Any]:
    torch.manual_seed(0)
    diffusion, (images, ids) = make_diffusion(), pictures(device)
    diffusion.denoiser.to(device)
    timesteps = torch.full((BATCH,), STEPS - 1, device=device)
    purifiers = [DiffusionPurifier(diffusion, calls=calls) for calls in CALLS]

    def forward() -> Tensor:
        return diffusion.denoiser.unet(images, timesteps).sample

    runs = [waiting(forward), *(waiting(lambda p=p: p(images, ids)) for p in purifiers)]
    with torch.no_grad():
        (bare, *times), _ = interleave(runs, ROUNDS)
    ratios = {str(calls): round(median_ratio(one, bare) / calls, 3) for calls, one in zip(CALLS, times, strict=True)}
    return {
        "name": "purification / as many U-Net forwards",
        "ratio": ratios["45"],
        "by_calls": ratios,
        "ms_by_calls": {str(calls): milliseconds(one) for calls, one in zip(CALLS, times, strict=True)},
        "device": device,
        **machine(),
    }


def run() -> list[dict[str, Any]]:
    """Return the speed-up in float32 and at the fastest setting, and the time by calls."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return [*against_the_host_loop(device), by_calls(device)]


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure))
