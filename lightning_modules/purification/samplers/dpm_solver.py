"""DPM-Solver++ in its multistep forms, for the ODE and the SDE (Lu et al., 2022, arXiv 2211.01095)."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.purification.options import ChainOptions
from lightning_modules.purification.samplers.base import StepTable, tilt
from lightning_modules.purification.schedule import DiffusionSchedule


def dpm_solver(schedule: DiffusionSchedule, start: int, options: ChainOptions) -> StepTable:
    """Solve the probability flow ODE: Algorithm 2 (2M), or of order 1 eq. 12, which is DDIM."""
    schedule = schedule.first(start)
    signal, sigma, shrink = _levels(schedule)
    sigma_before = (1 - schedule.previous_alpha_bars).sqrt()
    return _table(schedule, options, signal * (1 - shrink), sigma_before / sigma, torch.zeros_like(sigma))


def sde_dpm_solver(schedule: DiffusionSchedule, start: int, options: ChainOptions) -> StepTable:
    """Solve the reverse SDE: section 4.3 with fresh noise at every step; of order 1 it is the DDPM with fixed_small."""
    schedule = schedule.first(start)
    signal, sigma, shrink = _levels(schedule)
    sigma_before = (1 - schedule.previous_alpha_bars).sqrt()
    gain = 1 - shrink**2
    return _table(schedule, options, signal * gain, sigma_before / sigma * shrink, sigma_before**2 * gain)


def _levels(schedule: DiffusionSchedule) -> tuple[Tensor, Tensor, Tensor]:
    """Return alpha at the end of each step, sigma at its start, and ``e^-h``; h is the step in log-SNR / 2."""
    before, now = schedule.previous_alpha_bars, schedule.alpha_bars
    shrink = (now * (1 - before) / (before * (1 - now))).sqrt()  # 0 at the last step, where h is infinite
    return before.sqrt(), (1 - now).sqrt(), shrink


def _table(
    schedule: DiffusionSchedule, options: ChainOptions, gain: Tensor, of_xt: Tensor, variance: Tensor
) -> StepTable:
    """Split the weight ``gain`` of x0_hat over this x0_hat and the one before: ``(1 + c) x0 - c x0_before``.

    ``c = h / (2 h_before)``; 0 at the first step, which has nothing before it, and at the last, to A = 1, which is of
    order 1 as in the reference implementations.
    """
    share = torch.zeros_like(gain)
    if options.order == 2:
        steps = -torch.log(_levels(schedule)[2][1:])  # h of t = 2..S
        share[1:-1] = steps[:-1] / (2 * steps[1:])
    of_x0 = gain * (1 + share)
    return StepTable(of_x0, of_xt, -gain * share, variance, of_x0 * tilt(schedule))
