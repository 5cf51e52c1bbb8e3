"""Optimisers that train what is new faster than a pretrained backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


def optimizer_with_faster_head(
    make: Callable[[Any], torch.optim.Optimizer], module: nn.Module, backbones: Iterable[nn.Module], scale: float
) -> torch.optim.Optimizer:
    """Build an optimiser whose learning rate is ``scale`` times as high outside of the backbones.

    Args:
        make: called with the parameters.
        module: whose parameters are trained.
        backbones: parts of ``module`` that keep the learning rate of ``make``.
        scale: of the learning rate; 1 makes a single group of parameters.

    Raises:
        ValueError: a scale that is not positive.
    """
    if not scale > 0:
        raise ValueError(f"head_lr_scale={scale}: expected a positive factor")
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if scale == 1:
        return make(trained)
    slow = {id(parameter) for backbone in backbones for parameter in backbone.parameters()}
    groups = [[p for p in trained if (id(p) in slow) == is_slow] for is_slow in (True, False)]
    optimizer = make([{"params": group} for group in groups])
    optimizer.param_groups[1]["lr"] *= scale
    return optimizer
