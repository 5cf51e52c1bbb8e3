"""Two-modality discriminators of DADH: images are real, texts are fake."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Discriminator(nn.Sequential):
    """Linear layers with ReLU between them and one logit at the end; He's initialisation.

    Args:
        widths: of the input and the hidden layers.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        parts: list[nn.Module] = []
        for before, after in pairwise([*widths, 1]):
            layer = nn.Linear(before, after)
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
            parts += [layer, nn.ReLU()]
        super().__init__(*parts[:-1])


def discriminator_loss(network: nn.Module, real: Tensor, fake: Tensor, stable: bool = True) -> Tensor:
    """Return ``-E log s(D(real)) - E log(1 - s(D(fake)))``, a scalar.

    Args:
        network: D.
        real: ``(b, D)``.
        fake: ``(b, D)``.
        stable: by softplus; otherwise by the logarithm of the sigmoid, which is infinite for a confident D.
    """
    on_real, on_fake = network(real), network(fake)
    if stable:
        return (F.softplus(-on_real) + F.softplus(on_fake)).mean()
    return -(torch.log(torch.sigmoid(on_real)) + torch.log(1 - torch.sigmoid(on_fake))).mean()


def generator_loss(network: nn.Module, fake: Tensor, stable: bool = True) -> Tensor:
    """Return ``-E log s(D(fake))``, a scalar; see :func:`discriminator_loss`."""
    on_fake = network(fake)
    return F.softplus(-on_fake).mean() if stable else -torch.log(torch.sigmoid(on_fake)).mean()


def gradient_penalty(network: nn.Module, real: Tensor, fake: Tensor, mix: Tensor, stable: bool = True) -> Tensor:
    """Return ``E (||grad D(z)|| - 1)^2`` at ``z = mix real + (1 - mix) fake``, a scalar.

    Args:
        network: D.
        real: ``(b, D)``.
        fake: ``(b, D)``.
        mix: ``(b, D)`` in [0, 1], a draw of its own for every element (WGAN-GP draws one per sample).
        stable: keep the norm differentiable where the gradient is zero.
    """
    between = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(network(between).sum(), between, create_graph=True)
    norm = (slope.square().sum(dim=1) + 1e-12).sqrt() if stable else slope.norm(dim=1)
    return (norm - 1).square().mean()
