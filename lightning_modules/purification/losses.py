"""Training losses of the noise predictor."""

from __future__ import annotations

from torch import Tensor

from lightning_modules.purification.sampling import EpsilonModel
from lightning_modules.purification.schedule import DiffusionSchedule


def diffuse_each(schedule: DiffusionSchedule, x0: Tensor, index: Tensor, noise: Tensor) -> Tensor:
    """Noise every image to a step of its own (eq. 3).

    Args:
        schedule: the chain.
        x0: float ``(B, 3, H, W)`` in [-1, 1].
        index: int64 ``(B,)``, t - 1 of each image.
        noise: standard normal, shape of ``x0``.

    Returns:
        x_t, shape of ``x0``.
    """
    alpha_bar = schedule.alpha_bars.to(x0.device)[index].view(-1, 1, 1, 1)
    return alpha_bar.sqrt().to(x0) * x0 + (1 - alpha_bar).sqrt().to(x0) * noise


def simple_loss(epsilon: EpsilonModel, schedule: DiffusionSchedule, x0: Tensor, index: Tensor, noise: Tensor) -> Tensor:
    """L_simple (eq. 13; Ho et al. 2020, eq. 14): squared error of the predicted noise, ``(B,)`` means.

    Args are those of :func:`diffuse_each`, and ``epsilon``, which predicts noise from ``(x, timesteps)``.
    """
    x = diffuse_each(schedule, x0, index, noise)
    predicted = epsilon(x, schedule.timesteps.to(x.device)[index])
    return (predicted.float() - noise).square().flatten(1).mean(dim=1)
