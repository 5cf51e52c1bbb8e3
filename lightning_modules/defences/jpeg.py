"""JPEG compression as a defence (Dziugaite, Ghahramani & Roy, 2016, arXiv 1608.00853)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from lightning_modules.checks import round_to_8bit
from lightning_modules.defences.base import Defence, straight_through


class JPEG(Defence):
    """Compresses by libjpeg and decodes again; the gradient is that of the identity.

    Args:
        quality: of the compression, 1 to 100.

    Raises:
        ValueError: other qualities.
    """

    def __init__(self, quality: int = 75) -> None:
        super().__init__()
        if not 1 <= quality <= 100:
            raise ValueError(f"quality={quality}: expected 1..100")
        self.quality = quality

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Compress images float ``(B, 3, H, W)`` in [0, 1], rounded to 8 bit before."""
        del ids, draw
        coded = [
            decode_jpeg(encode_jpeg(image, self.quality), ImageReadMode.RGB) for image in round_to_8bit(images).cpu()
        ]
        if not coded:
            return images
        return straight_through(images, torch.stack(coded).to(images) / 255)
