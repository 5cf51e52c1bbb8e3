"""PurifiedEncoder: what a retrieval system puts in the place of its encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.checks import check_images, round_to_8bit
from lightning_modules.defences.base import Defence
from lightning_modules.defences.votes import vote
from lightning_modules.types import as_float


class PurifiedEncoder(nn.Module):
    """Purifies images and hashes them: the codes that an evaluation gives the same images, defence and encoder.

    An image's code depends on the image, its id and the defence's seed only. What an attacker sees of a defended system
    is :class:`DefendedEncoder`, which is differentiable and draws other noise at every call.

    Args:
        defence: changes the images; purified images are rounded to 8 bit, as an evaluation stores them.
        encoder: maps images float ``(B, 3, H, W)`` in [0, 1] to ``(B, K)`` real numbers, whose signs are the code: a
            :class:`~lightning_modules.hashing.HashEncoder` or the network of any system. It is put in eval mode.
    """

    def __init__(self, defence: Defence, encoder: nn.Module) -> None:
        super().__init__()
        self.defence, self.encoder = defence, encoder
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor, ids: Sequence[str] | None = None) -> Tensor:
        """Purify and hash.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1], or uint8.
            ids: sample ids, which seed the purification; default: a digest of each image.

        Returns:
            int8 ``(B, K)`` in {-1, +1}.

        Raises:
            ValueError: images of another shape or range.
        """
        images = as_float(images)
        check_images(images)
        paths = round_to_8bit(self.defence.paths(images, ids))
        return vote(self.encoder, paths.to(images.dtype) / 255)

    def train(self, mode: bool = True) -> PurifiedEncoder:
        """Stay in eval mode: nothing here is trained."""
        del mode
        return super().train(False)
