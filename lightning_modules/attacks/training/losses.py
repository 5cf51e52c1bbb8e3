"""Terms of generative attacks, one value per image (ProS-GAN and TA-DCH), and of universal perturbations."""

from __future__ import annotations

import torch
from torch import Tensor

REAL, FAKE = 0.0, 1.0
"""The last entry of a discriminator's answer; the authors flag fakes, contrary to habit."""


def class_lsgan(scores: Tensor, labels: Tensor, flag: float) -> Tensor:
    """Least-squares GAN loss of a class vector with a flag: mean of ``(scores - [labels, flag])^2``.

    Args:
        scores: the discriminator's answer, float ``(B, C + 1)``.
        labels: ``(B, C)`` in {0, 1} that it should give.
        flag: :data:`REAL` or :data:`FAKE`.

    Returns:
        float ``(B,)``.
    """
    wanted = torch.cat([labels.to(scores.dtype), scores.new_full((len(scores), 1), flag)], dim=1)
    return (scores - wanted).square().mean(dim=1)


def code_disagreement(codes: Tensor, wanted: Tensor) -> Tensor:
    """Return ``1 - mean_k u_k h_k`` in (0, 2), ``(B,)``: of codes u ``(B, K)`` and the codes h they should equal."""
    return 1 - (codes * wanted).mean(dim=1)


def reconstruction(made: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of images ``(B, 3, H, W)``, ``(B,)``; in [-1, 1], four times that of [0, 1]."""
    return (made - images).square().flatten(1).mean(dim=1)


def masked_disagreement(codes: Tensor, wanted: Tensor, margin: float) -> Tensor:
    """Return ``1 - sum(h w u) / sum(w)`` over images and bits, ``w`` where ``|h - u|`` exceeds the margin (SS-TUAA).

    Args:
        codes: u, float ``(B, K)`` in (-1, 1).
        wanted: h, ``(B, K)`` in {-1, +1}.
        margin: bits that are nearer to their goal do not count.

    Returns:
        a scalar; 1, without gradient, where no bit counts.
    """
    counted = ((wanted - codes).abs() > margin).to(codes.dtype)
    return 1 - (wanted * counted * codes).sum() / counted.sum().clamp_min(1)
