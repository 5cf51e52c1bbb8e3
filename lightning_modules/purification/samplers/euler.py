"""Euler steps of the reverse SDE, as DiffPure solves it (Nie et al., 2022, arXiv 2205.07460, eq. 5 and 6)."""

from __future__ import annotations

from lightning_modules.purification.options import ChainOptions
from lightning_modules.purification.samplers.base import StepTable
from lightning_modules.purification.schedule import DiffusionSchedule


def euler(schedule: DiffusionSchedule, start: int, options: ChainOptions) -> StepTable:
    """Step to ``x + beta (x / 2 + score) + sqrt(beta) z``, with ``score = (sqrt(A) x0_hat - x) / (1 - A)``.

    Noise is added at every step, the last one too. It differs from a DDPM with ``fixed_large`` by O(beta^2) a step.
    """
    del options
    schedule = schedule.first(start)
    beta, now = schedule.betas, schedule.alpha_bars
    return StepTable.of_score(schedule, beta * now.sqrt() / (1 - now), 1 + beta / 2 - beta / (1 - now), beta)
