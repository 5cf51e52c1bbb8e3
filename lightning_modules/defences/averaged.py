"""Several draws of a random defence, combined to one image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lightning_modules.defences.base import Defence


class Averaged(Defence):
    """Mean or median over independent draws, pixel by pixel: one image, smoother than each draw.

    A vote over codes is another thing: see ``Defence.n_paths``.

    Args:
        defence: a defence that draws noise.
        draws: number of draws.
        combine: ``mean`` or ``median``.

    Raises:
        ValueError: fewer than two draws, or an unknown way to combine them.
    """

    def __init__(self, defence: Defence, draws: int = 5, combine: Literal["mean", "median"] = "mean") -> None:
        super().__init__()
        if draws < 2:
            raise ValueError(f"draws={draws}: expected at least 2")
        if combine not in ("mean", "median"):
            raise ValueError(f"combine={combine!r}: expected 'mean' or 'median'")
        self.defence, self.draws, self.combine = defence, draws, combine

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Defend images float ``(B, 3, H, W)`` in [0, 1]; draws of one repetition are in no other."""
        found = torch.stack([self.defence(images, ids, draw * self.draws + one) for one in range(self.draws)])
        return found.mean(dim=0) if self.combine == "mean" else found.median(dim=0).values

    def fingerprint(self) -> str:
        """Identify the result: how draws are combined, and the defence, with its weights if it has any."""
        return hashlib.sha256(f"{self.combine} of {self.draws}: {self.defence.fingerprint()}".encode()).hexdigest()
