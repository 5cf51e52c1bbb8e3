"""The loop of all gradient attacks: descend on an objective of the codes within an L-infinity budget."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_modules.attacks.base import Attack, frozen
from lightning_modules.attacks.schedules import AlphaSchedule, alpha_at
from lightning_modules.attacks.steps import Update
from lightning_modules.checks import check_images, check_positive
from lightning_modules.types import AttackGoal, Victim

Precision = Literal["float32", "bfloat16"]
Encode = Callable[[Tensor], Tensor]
"""Encodes images to float32 codes ``(B, K)`` at the slope of the current iteration."""
Objective = Callable[[Encode, Tensor], Tensor]
"""Maps an encoder and images ``(B, 3, H, W)`` to what is minimised, one value ``(B,)`` per image."""


@dataclass(frozen=True)
class Descent:
    """How far, how often and how precisely to descend.

    Attributes:
        iterations: number of steps.
        eps: L-infinity budget in [0, 1] units.
        alpha_schedule: slope of the tanh, see :func:`~lightning_modules.attacks.schedules.alpha_at`.
        precision: of the victim's forward and backward pass.

    Raises:
        ValueError: a budget or count that is not positive, or an unknown schedule or precision.
    """

    iterations: int
    eps: float
    alpha_schedule: AlphaSchedule = "relative"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        check_positive(iterations=self.iterations, eps=self.eps)
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision={self.precision!r}: expected 'float32' or 'bfloat16'")
        alpha_at(0, self.iterations, self.alpha_schedule)  # refuses an unknown schedule now, not in the first iteration

    def run(self, images: Tensor, victim: Victim, objective: Objective, update: Update, delta: Tensor) -> Tensor:
        """Descend from ``images + delta``; after each step delta is clamped to the budget, the image to [0, 1].

        The sum over images keeps them independent of each other.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1].
            victim: frozen.
            objective: what is minimised.
            update: step rule.
            delta: ``(B, 3, H, W)`` start.

        Returns:
            float ``(B, 3, H, W)`` in [0, 1].

        Raises:
            ValueError: the victim's gradient is NaN or infinite; a sign step would take NaN for zero.
        """
        health = images.new_zeros(len(images))  # asked once, at the end: asking a GPU means waiting for it
        for iteration in range(self.iterations):
            encode = self.encoder(victim, alpha_at(iteration, self.iterations, self.alpha_schedule))
            adversarial = (images + delta).requires_grad_()
            (gradient,) = torch.autograd.grad(objective(encode, adversarial).sum(), adversarial)
            with torch.no_grad():
                health += gradient.flatten(1).sum(dim=1)
                delta = self.project(images, delta - update(gradient))
        broken = health.isfinite().logical_not().nonzero().flatten().tolist()
        if broken:
            raise ValueError(f"image {broken[0]} of the batch: the victim's gradient is NaN or infinite")
        return images + delta

    def encoder(self, victim: Victim, alpha: float = 1.0) -> Encode:
        """Bind slope and precision."""

        def encode(images: Tensor) -> Tensor:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                codes = victim(images, alpha=alpha)
            return codes.float()

        return encode

    def project(self, images: Tensor, delta: Tensor) -> Tensor:
        """Return the nearest delta within the budget for which ``images + delta`` lies in [0, 1]."""
        return (images + delta.clamp(-self.eps, self.eps)).clamp(0, 1) - images


class GradientAttack(Attack):
    """An attack that descends on an objective of the victim's codes: says what to minimise, and how to step.

    Args:
        descent: the loop's options.
    """

    def __init__(self, descent: Descent) -> None:
        super().__init__()
        self.descent = descent

    @abstractmethod
    def objective(self, images: Tensor, goal: AttackGoal, encode: Encode) -> Objective:
        """Return what is minimised.

        Args:
            images: clean images ``(B, 3, H, W)``.
            goal: of the same queries.
            encode: the victim at slope 1.
        """

    @abstractmethod
    def update(self) -> Update:
        """Return a fresh step rule."""

    def start(self, images: Tensor, goal: AttackGoal) -> Tensor:
        """Return the first delta ``(B, 3, H, W)``: zero, unless an attack starts at random."""
        del goal
        return torch.zeros_like(images)

    def forward(self, images: Tensor, goal: AttackGoal, victim: Victim) -> Tensor:
        """Craft adversarial images; see :meth:`Attack.forward`."""
        check_images(images)
        with frozen(victim) as model:
            # A copy: autograd refuses tensors made in inference mode, as in Trainer.test.
            images = images.detach().clone()
            objective = self.objective(images, goal, self.descent.encoder(model))
            return self.descent.run(images, model, objective, self.update(), self.start(images, goal))


def anchor_of(goal: AttackGoal, images: Tensor) -> Tensor:
    """Return the goal's code as ``(B, K)`` of the images' type and device.

    Raises:
        ValueError: the goal has none.
    """
    if goal.code is None:
        raise ValueError("this attack needs an anchor code: call aim() first")
    return goal.code.clone().to(images)  # a copy, for the same reason
