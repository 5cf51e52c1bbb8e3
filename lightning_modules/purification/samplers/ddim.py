"""DDIM (Song, Meng & Ermon, 2021, arXiv 2010.02502, eq. 12 and 16)."""

from __future__ import annotations

from lightning_modules.purification.options import ChainOptions
from lightning_modules.purification.samplers.base import StepTable
from lightning_modules.purification.schedule import DiffusionSchedule


def ddim(schedule: DiffusionSchedule, start: int, options: ChainOptions) -> StepTable:
    """Step to ``sqrt(A') x0_hat + sqrt(1 - A' - sigma^2) eps + sigma z``, with the eps that x0_hat and x_t imply.

    ``sigma^2 = eta^2 (1 - A') / (1 - A) (1 - A / A')``; eta = 1 is the DDPM with ``fixed_small``. Where x0_hat is
    clipped, eps follows it.
    """
    schedule = schedule.first(start)
    before, now = schedule.previous_alpha_bars, schedule.alpha_bars
    variance = options.eta**2 * (1 - before) / (1 - now) * (1 - now / before)
    of_xt = ((1 - before - variance).clamp_min(0) / (1 - now)).sqrt()
    return StepTable.of_score(schedule, before.sqrt() - of_xt * now.sqrt(), of_xt, variance)
