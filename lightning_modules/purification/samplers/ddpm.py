"""Ancestral sampling: Ho et al. (2020), Algorithm 2; learned variance: Nichol & Dhariwal (2021), eq. 15."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.purification.options import ChainOptions
from lightning_modules.purification.samplers.base import StepTable
from lightning_modules.purification.schedule import DiffusionSchedule


def ddpm(schedule: DiffusionSchedule, start: int, options: ChainOptions) -> StepTable:
    """Posterior mean given x0_hat and x_t, noise of the chosen variance and none at t = 1; guided by s sigma_t^2.

    A learned variance varies between the two fixed ones; its row of the table holds ``fixed_small``, by which its
    strength of guidance is judged.
    """
    of_x0, of_xt = (weights[:start] for weights in schedule.posterior_weights())
    kind = "fixed_small" if options.variance == "learned" else options.variance
    variance = schedule.variances(kind)[:start].clone()
    variance[0] = 0  # no noise at t = 1
    bounds = schedule.log_variance_bounds()[:start] if options.variance == "learned" else None
    guidance = schedule.guidance_variances(kind)[:start]
    return StepTable(of_x0, of_xt, torch.zeros_like(of_x0), variance, guidance, bounds)


def learned_variance(v: Tensor, log_bounds: tuple[float, float]) -> Tensor:
    """Interpolate the logarithm of the variance, per pixel.

    Args:
        v: the network's second half of channels, ``(B, 3, H, W)``; -1 is the smallest variance, the posterior's, and
            +1 the largest, beta. It is not clamped.
        log_bounds: logarithms of the two.

    Returns:
        sigma_t^2, same shape.
    """
    low, high = log_bounds
    share = (v + 1) / 2
    return torch.exp(share * high + (1 - share) * low)
