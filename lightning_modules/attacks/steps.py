"""Step rules: what a gradient attack subtracts from its perturbation, given a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

StepRule = Literal["raw", "l2", "sign"]
Update = Callable[[Tensor], Tensor]
"""Maps the gradient ``(B, 3, H, W)`` of an iteration to what is subtracted; images do not depend on each other."""

SMALLEST_NORM = 1e-12


def steepest(rule: StepRule, step: float) -> Update:
    """Return a rule without memory.

    Args:
        rule: ``raw`` takes the gradient, ``l2`` the gradient of each image over its Euclidean norm, ``sign`` its sign.
        step: factor.

    Raises:
        ValueError: unknown rule.
    """
    match rule:
        case "raw":
            return lambda gradient: step * gradient
        case "l2":
            return lambda gradient: step * (gradient / _norm(gradient, 2))
        case "sign":
            return lambda gradient: step * gradient.sign()
        case _:
            raise ValueError(f"step_rule={rule!r}: expected 'raw', 'l2' or 'sign'")


class HeavyBall:
    """Momentum as in ``torch.optim.SGD``: ``v <- decay v + g``, subtract ``step v``."""

    def __init__(self, step: float, decay: float) -> None:
        self._step, self._decay = step, decay
        self._velocity: Tensor | None = None

    def __call__(self, gradient: Tensor) -> Tensor:
        """Take a step."""
        self._velocity = gradient if self._velocity is None else self._decay * self._velocity + gradient
        return self._step * self._velocity


class SignedMomentum:
    """MI-FGSM (Dong et al., CVPR 2018, eq. 6 and 7): ``v <- decay v + g / ||g||_1``, subtract ``step sign(v)``.

    Without decay it is the plain sign step.
    """

    def __init__(self, step: float, decay: float) -> None:
        self._step, self._decay = step, decay
        self._velocity: Tensor | float = 0.0

    def __call__(self, gradient: Tensor) -> Tensor:
        """Take a step."""
        if self._decay:
            self._velocity = gradient = self._decay * self._velocity + gradient / _norm(gradient, 1)
        return self._step * gradient.sign()


class Adam:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1), for each pixel by itself."""

    def __init__(self, step: float, betas: tuple[float, float] = (0.9, 0.999), offset: float = 1e-8) -> None:
        self._step, self._betas, self._offset = step, betas, offset
        self._mean: Tensor | None = None
        self._square: Tensor | None = None
        self._count = 0

    def __call__(self, gradient: Tensor) -> Tensor:
        """Take a step."""
        first, second = self._betas
        if self._mean is None or self._square is None:
            self._mean, self._square = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self._count += 1
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = self._step / (1 - first**self._count)
        root = (self._square / (1 - second**self._count)).sqrt_()
        return scale * self._mean / root.add_(self._offset)


def _norm(gradient: Tensor, order: int) -> Tensor:
    norm = gradient.flatten(1).norm(order, dim=1).clamp_min(SMALLEST_NORM)
    return norm.view(-1, 1, 1, 1)
