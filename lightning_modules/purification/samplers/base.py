"""What a sampler is: a table of weights, one row per step, from which one loop takes all its numbers.

Every sampler here is linear in x_t, x0_hat, the x0_hat before it, and noise:

    x_next = w_0 x0_hat + w_t x_t + w_p x0_hat_before + sigma z - g grad D

so that a sampler is a function from a noise schedule to float64 weights, and the loop has no branches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.purification.options import ChainOptions
from lightning_modules.purification.schedule import DiffusionSchedule


@dataclass(frozen=True)
class StepTable:
    """Weights of the S steps that are taken, float64 ``(S,)`` each; row i leads from ``t = i + 1``.

    Attributes:
        of_x0: weight of x0_hat.
        of_xt: weight of x_t.
        of_previous: weight of the x0_hat of the step before, from ``t + 1``; 0 at the first step.
        variance: sigma^2 of the noise that the step adds.
        guidance: factor of ``grad D`` at s = 1.
        log_bounds: float64 ``(S, 2)``, logarithms of the smallest and the largest variance between which a
            network with learned variance chooses; None for a variance that is fixed.
    """

    of_x0: Tensor
    of_xt: Tensor
    of_previous: Tensor
    variance: Tensor
    guidance: Tensor
    log_bounds: Tensor | None = None

    @classmethod
    def of_score(cls, schedule: DiffusionSchedule, of_x0: Tensor, of_xt: Tensor, variance: Tensor) -> StepTable:
        """Make the table of a one-step sampler that is guided through the score.

        Guidance adds ``sqrt(1 - A) s grad D`` to the predicted noise (Dhariwal & Nichol, 2021, Algorithm 2), which
        moves x0_hat by ``-(1 - A) / sqrt(A) s grad D``, and x_next by w_0 times that.
        """
        return cls(of_x0, of_xt, torch.zeros_like(of_x0), variance, of_x0 * tilt(schedule))


def tilt(schedule: DiffusionSchedule) -> Tensor:
    """How far guidance of the score moves x0_hat per ``s grad D``: ``(1 - A) / sqrt(A)``, float64 ``(S,)``."""
    return (1 - schedule.alpha_bars) / schedule.alpha_bars.sqrt()


@dataclass(frozen=True)
class ReverseStep:
    """All numbers of one reverse step, as Python floats from float64 tables.

    Attributes:
        t: the step leads from ``x_t`` to ``x_{t-1}`` of its chain.
        timestep: what the network is told.
        alpha_bar: ``A_t``.
        weight_x0: weight of x0_hat.
        weight_xt: weight of x_t.
        sigma: deviation of the step's noise.
        guidance: factor of the gradient; per unit of variance where the variance is learned.
        weight_previous: weight of the x0_hat of the step before.
        log_bounds: logarithms of the bounds of a learned variance.
    """

    t: int
    timestep: int
    alpha_bar: float
    weight_x0: float
    weight_xt: float
    sigma: float
    guidance: float
    weight_previous: float = 0.0
    log_bounds: tuple[float, float] | None = None


def rows(schedule: DiffusionSchedule, table: StepTable, options: ChainOptions, scale: float) -> list[ReverseStep]:
    """Read a table from its last row to its first, with the guidance of scale ``scale``."""
    timesteps, alpha_bars = schedule.timesteps.tolist(), schedule.alpha_bars.tolist()
    of_x0, of_xt, of_previous = table.of_x0.tolist(), table.of_xt.tolist(), table.of_previous.tolist()
    variances, factors = table.variance.tolist(), unit_guidance(schedule, table, options).tolist()
    bounds = None if table.log_bounds is None else table.log_bounds.tolist()
    return [
        ReverseStep(
            t=index + 1,
            timestep=timesteps[index],
            alpha_bar=alpha_bars[index],
            weight_x0=of_x0[index],
            weight_xt=of_xt[index],
            sigma=variances[index] ** 0.5,
            guidance=scale * factors[index],
            weight_previous=of_previous[index],
            log_bounds=None if bounds is None else (bounds[index][0], bounds[index][1]),
        )
        for index in range(len(variances) - 1, -1, -1)
    ]


def unit_guidance(schedule: DiffusionSchedule, table: StepTable, options: ChainOptions) -> Tensor:
    """Return the factors of ``grad D`` at s = 1, float64 ``(S,)``; of a learned variance, what multiplies it."""
    factors = torch.ones_like(table.guidance) if table.log_bounds is not None else table.guidance
    if options.form == "literal":
        factors = torch.ones_like(factors)
    if options.scale_schedule == "noise_to_signal":
        factors = factors * (1 / schedule.alpha_bars[: len(factors)] - 1).sqrt()
    return factors
