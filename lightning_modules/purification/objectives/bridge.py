"""The adversarial bridge of ADBM (Li et al. 2024, arXiv 2408.00315)."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.purification.objectives.base import (
    Draws,
    Objective,
    Pair,
    Regression,
    alpha_bars_at,
    diffuse_each,
    uniform_integers,
)
from lightning_modules.purification.schedule import DiffusionSchedule


class Bridge(Objective):
    """Lead from the noised adversarial image at T_p to the clean image at 0.

    With delta = x_adv - x and ``w = A_Tp / (1 - A_Tp)``,

        x_t    = sqrt(A_t) x + sqrt(1 - A_t) noise + w (1 - A_t) / sqrt(A_t) delta
        target = noise + w sqrt((1 - A_t) / A_t) delta

    At t = T_p, x_t is the noised x_adv, which purification starts from; towards t = 0 the perturbation vanishes; and
    at every t the target implies the *clean* x. t is uniform over the range of the training, up to T_p.

    Args:
        horizon: smallest and largest T_p, one drawn per image; ``(100, 200)`` of 1000 is ADBM's, equal numbers train
            for the purifier that uses just this T_p.

    Raises:
        ValueError: no range.
    """

    def __init__(self, horizon: tuple[int, int] = (45, 45)) -> None:
        self.horizon = (int(horizon[0]), int(horizon[1]))
        if not 1 <= self.horizon[0] <= self.horizon[1]:
            raise ValueError(f"horizon={self.horizon}: expected 1 <= first <= last, steps T_p of the chain")

    def check(self, t_range: tuple[int, int]) -> None:
        """Refuse a range of t that does not reach from below the smallest T_p to the largest."""
        if not (t_range[0] <= self.horizon[0] and self.horizon[1] <= t_range[1]):
            raise ValueError(f"t_range={t_range}: expected to hold the horizon {self.horizon} of the bridge")

    def _ends(self, draws: Draws) -> Tensor:
        first, last = self.horizon
        return uniform_integers(draws.horizon, first, torch.full_like(draws.horizon, last))

    def index(self, t_range: tuple[int, int], draws: Draws) -> Tensor:
        """Choose t - 1, uniform up to each image's T_p; see :meth:`Objective.index`."""
        return uniform_integers(draws.time, t_range[0], self._ends(draws).to(draws.time)) - 1

    def regression(self, schedule: DiffusionSchedule, pair: Pair, index: Tensor, draws: Draws) -> Regression:
        """Put the image on the bridge; see :meth:`Objective.regression`."""
        end, here = alpha_bars_at(schedule, self._ends(draws) - 1), alpha_bars_at(schedule, index)
        weight = end / (1 - end)
        in_x = (weight * (1 - here) / here.sqrt()).to(pair.clean)
        in_target = (weight * ((1 - here) / here).sqrt()).to(pair.clean)
        x = diffuse_each(schedule, pair.clean, index, draws.noise) + in_x * pair.delta
        return Regression(x, draws.noise + in_target * pair.delta)
