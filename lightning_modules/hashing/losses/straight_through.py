"""Signs that pass gradients on unchanged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightning_modules.types import binarize


class _StraightThroughSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        return binarize(values).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        del ctx
        return gradient


def straight_through_sign(values: Tensor) -> Tensor:
    """Signs in {-1, +1} of a float tensor, with the gradient of the identity (Su et al., NeurIPS 2018)."""
    signs: Tensor = _StraightThroughSign.apply(values)
    return signs
