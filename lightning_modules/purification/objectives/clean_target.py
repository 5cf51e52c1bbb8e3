"""From a noised adversarial image to the clean one in one call."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from lightning_modules.purification.objectives.base import (
    Draws,
    Objective,
    Pair,
    Regression,
    alpha_bars_at,
    diffuse_each,
)
from lightning_modules.purification.schedule import DiffusionSchedule

Weighting = Literal["noise", "x0", "none"]


class CleanTarget(Objective):
    """Noise the adversarial image, and predict what implies the clean one.

        x_t    = sqrt(A_t) x_adv + sqrt(1 - A_t) noise
        target = noise + sqrt(A_t / (1 - A_t)) (x_adv - x)

    Inverting eq. 3 with this target gives x at every t: a purifier of one call.

    Args:
        weighting: factor of the squared error. The target holds the perturbation a hundredfold at t = 1, where little
            can be told from it: ``noise`` weighs by 1 - A_t; ``x0``, (1 - A_t) / A_t, is the squared error of the
            implied clean image; ``none`` leaves it.

    Raises:
        ValueError: an unknown weighting.
    """

    def __init__(self, weighting: Weighting = "noise") -> None:
        if weighting not in get_args(Weighting):
            raise ValueError(f"weighting={weighting!r}: expected one of {', '.join(get_args(Weighting))}")
        self.weighting = weighting

    def regression(self, schedule: DiffusionSchedule, pair: Pair, index: Tensor, draws: Draws) -> Regression:
        """Noise the adversarial image towards the clean one; see :meth:`Objective.regression`."""
        alpha_bar = alpha_bars_at(schedule, index)
        in_target = (alpha_bar / (1 - alpha_bar)).sqrt().to(pair.clean)
        x = diffuse_each(schedule, pair.adversarial, index, draws.noise)
        return Regression(x, draws.noise + in_target * pair.delta, self._weight(alpha_bar, pair.clean))

    def _weight(self, alpha_bar: Tensor, like: Tensor) -> Tensor | float:
        match self.weighting:
            case "noise":
                return (1 - alpha_bar).to(like)
            case "x0":
                return ((1 - alpha_bar) / alpha_bar).to(like)
            case "none":
                return 1.0
