"""L_purify, the paper's fine-tuning objective (eq. 14)."""

from __future__ import annotations

from torch import Tensor

from lightning_modules.purification.objectives.base import Draws, Objective, Pair, Regression, diffuse_each
from lightning_modules.purification.schedule import DiffusionSchedule


class Purify(Objective):
    """Predict the noise of a noised adversarial image: L_simple with x_adv in the place of x_0.

    Eq. 14 prints A_T, the variance at the end of the chain, beside the step t that the network is told; only A_t makes
    them one step, as in eq. 13. The noise is relative to x_adv, so what is learned is the prior of adversarial images,
    perturbation included: an objective that takes the perturbation away is
    :class:`~lightning_modules.purification.objectives.Bridge`.
    """

    def regression(self, schedule: DiffusionSchedule, pair: Pair, index: Tensor, draws: Draws) -> Regression:
        """Noise the adversarial image; see :meth:`Objective.regression`."""
        return Regression(diffuse_each(schedule, pair.adversarial, index, draws.noise), draws.noise)
