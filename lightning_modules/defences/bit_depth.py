"""Fewer grey levels (feature squeezing: Xu, Evans & Qi, 2018, arXiv 1704.01155, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lightning_modules.defences.base import Defence, straight_through


class BitDepth(Defence):
    """Rounds every channel to ``2^bits`` levels; the gradient is that of the identity.

    Args:
        bits: per channel, 1 to 8.

    Raises:
        ValueError: other numbers of bits.
    """

    def __init__(self, bits: int = 4) -> None:
        super().__init__()
        if not 1 <= bits <= 8:
            raise ValueError(f"bits={bits}: expected 1..8")
        self.bits = bits

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Round images float ``(B, 3, H, W)`` in [0, 1]."""
        del ids, draw
        levels = 2**self.bits - 1
        return straight_through(images, images.mul(levels).round().div(levels))
