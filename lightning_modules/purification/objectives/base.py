"""Objective: every training loss is a regression of the network's output on some target at some x_t."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_modules.configurable import Configurable
from lightning_modules.purification.chain import EpsilonModel
from lightning_modules.purification.schedule import DiffusionSchedule
from lightning_modules.randomness import SampleNoise, sample_uniforms


@dataclass(frozen=True)
class Pair:
    """Images with what an attack made of them.

    Attributes:
        clean: x, float ``(B, 3, H, W)`` in [-1, 1].
        adversarial: x_adv, same shape; the clean image where it was not attacked.
    """

    clean: Tensor
    adversarial: Tensor

    @property
    def delta(self) -> Tensor:
        """The perturbation x_adv - x."""
        return self.adversarial - self.clean


@dataclass(frozen=True)
class Draws:
    """The random numbers of a training step, which belong to the samples.

    Attributes:
        time: float64 ``(B,)`` in [0, 1), chooses t.
        horizon: float64 ``(B,)`` in [0, 1), chooses T_p where an objective draws it.
        noise: standard normal ``(B, 3, H, W)``.
    """

    time: Tensor
    horizon: Tensor
    noise: Tensor

    @classmethod
    def of(cls, seed: int, purpose: str, ids: Sequence[str], like: Tensor) -> Draws:
        """Draw for these samples, whatever batch they are in; noise of shape, dtype and device of ``like``."""
        uniforms = sample_uniforms(seed, f"{purpose}/t", ids, 2).to(like.device)
        return cls(uniforms[:, 0], uniforms[:, 1], SampleNoise(seed, purpose, ids)(like))


@dataclass(frozen=True)
class Regression:
    """What the network sees and should answer.

    Attributes:
        x: x_t, float ``(B, 3, H, W)``.
        target: what is to be predicted, same shape.
        weight: ``(B, 1, 1, 1)`` factor of the squared error.
    """

    x: Tensor
    target: Tensor
    weight: Tensor | float = 1.0


class Objective(Configurable, ABC):
    """A training loss of the noise predictor.

    Attributes:
        paired: whether it needs adversarial images.
    """

    paired: bool = True

    @abstractmethod
    def regression(self, schedule: DiffusionSchedule, pair: Pair, index: Tensor, draws: Draws) -> Regression:
        """Return what the network sees at these steps and should answer.

        Args:
            schedule: the chain.
            pair: images.
            index: int64 ``(B,)``, t - 1 of each image.
            draws: random numbers of the samples.
        """

    def index(self, t_range: tuple[int, int], draws: Draws) -> Tensor:
        """Choose t - 1 for each image, int64 ``(B,)``: uniform over ``t_range``, both ends included."""
        first, last = t_range
        return uniform_integers(draws.time, first, torch.full_like(draws.time, last)) - 1

    def check(self, t_range: tuple[int, int]) -> None:
        """Refuse a range of t that the objective cannot train; any will do unless it says otherwise."""
        del t_range

    def setup(self, data: Any, device: torch.device) -> None:
        """Open what the objective needs beside the images, and check that it fits the data; most need nothing.

        Args:
            data: the data module, set up.
            device: where to compute.

        Raises:
            ValueError: it is missing, or belongs to other data.
        """
        del data, device

    def errors(
        self, schedule: DiffusionSchedule, pair: Pair, index: Tensor, wanted: Regression, predicted: Tensor
    ) -> Tensor:
        """Return the error of every answer, ``(B,)``: its weighted mean square, unless there is more to it.

        Args:
            schedule: the chain.
            pair: images.
            index: int64 ``(B,)``, t - 1 of each image.
            wanted: what :meth:`regression` returned.
            predicted: what the network answered, shape of the images.
        """
        del schedule, pair, index
        return ((predicted - wanted.target).square() * wanted.weight).flatten(1).mean(dim=1)

    def __call__(
        self,
        epsilon: EpsilonModel,
        schedule: DiffusionSchedule,
        pair: Pair,
        t_range: tuple[int, int],
        draws: Draws,
    ) -> Tensor:
        """Return the loss of every image, ``(B,)``.

        Args:
            epsilon: predicts noise from ``(x, timesteps)``.
            schedule: the chain.
            pair: images.
            t_range: smallest and largest t.
            draws: random numbers of the samples.
        """
        index = self.index(t_range, draws)
        wanted = self.regression(schedule, pair, index, draws)
        predicted = epsilon(wanted.x, schedule.timesteps.to(wanted.x.device)[index])
        return self.errors(schedule, pair, index, wanted, predicted.to(wanted.target.dtype))


def uniform_integers(uniform: Tensor, first: int, last: Tensor) -> Tensor:
    """Map uniform numbers in [0, 1) to int64 in ``first .. last``, both included; ``last`` has one bound each."""
    return (first + (uniform * (last - first + 1)).floor()).minimum(last).long()


def alpha_bars_at(schedule: DiffusionSchedule, index: Tensor) -> Tensor:
    """Return A_t of each image, float64 ``(B, 1, 1, 1)``; coefficients are computed from it before any rounding."""
    return schedule.alpha_bars.to(index.device)[index].view(-1, 1, 1, 1)


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
    alpha_bar = alpha_bars_at(schedule, index)
    return alpha_bar.sqrt().to(x0) * x0 + (1 - alpha_bar).sqrt().to(x0) * noise
