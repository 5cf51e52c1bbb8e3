"""L_simple (eq. 13; Ho et al. 2020, eq. 14)."""

from __future__ import annotations

from torch import Tensor

from lightning_modules.purification.objectives.base import Draws, Objective, Pair, Regression, diffuse_each
from lightning_modules.purification.schedule import DiffusionSchedule


class Simple(Objective):
    """Predict the noise of a noised clean image: the ordinary training of a DDPM."""

    paired = False

    def regression(self, schedule: DiffusionSchedule, pair: Pair, index: Tensor, draws: Draws) -> Regression:
        """Noise the clean image; see :meth:`Objective.regression`."""
        return Regression(diffuse_each(schedule, pair.clean, index, draws.noise), draws.noise)
