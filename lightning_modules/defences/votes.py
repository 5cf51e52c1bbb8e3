"""Votes over several purifications: one code from the paths that a defence made of each image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_modules.types import binarize


def vote(encoder: Callable[[Tensor], Tensor], paths: Tensor) -> Tensor:
    """Return the sign of the mean over paths of continuous codes.

    The paths are those of :meth:`Defence.paths`, of which there are ``n_paths``, an option of the purifier.

    Args:
        encoder: maps images to ``(B, K)``.
        paths: float ``(n_paths, B, 3, H, W)`` in [0, 1], what a defence made of each image.

    Returns:
        int8 ``(B, K)`` in {-1, +1}.
    """
    return binarize(torch.stack([encoder(images) for images in paths]).mean(dim=0))
