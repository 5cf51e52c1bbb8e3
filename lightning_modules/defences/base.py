"""Defence: images in, images out, in front of any encoder; a defended encoder is again a victim."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from lightning_modules.configurable import Configurable
from lightning_modules.types import Victim


class Defence(nn.Module, Configurable, ABC):
    """Changes query images before they are hashed."""

    @abstractmethod
    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Defend images.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1].
            ids: sample ids that seed the randomness of a defence; default: a digest of each image.
            draw: number of the repetition: another draw gives independent noise for the same samples.

        Returns:
            float ``(B, 3, H, W)`` in [0, 1].
        """

    def fingerprint(self) -> str:
        """Return what identifies the result: the specification, and the weights where there are any."""
        return hashlib.sha256(json.dumps(self.spec, sort_keys=True).encode()).hexdigest()


class NoDefence(Defence):
    """Leaves images as they are: the rows "clean" and "attacked" of a table."""

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Return the images."""
        del ids, draw
        return images


class DefendedEncoder(nn.Module):
    """A defence composed with an encoder; attack it like any encoder.

    Every call draws fresh noise, so that an attacker who averages over calls (expectation over
    transformation) never sees the noise of the evaluation.

    Args:
        defence: changes the images; differentiable in them if the attack needs gradients.
        encoder: the victim behind it.
        ids: ids of the samples that are attacked.
        first_draw: number of the first repetition; the evaluation uses draw 0.
    """

    def __init__(self, defence: Defence, encoder: Victim, ids: Sequence[str], first_draw: int = 1) -> None:
        super().__init__()
        self.defence, self.encoder, self.ids, self._draw = defence, encoder, tuple(ids), first_draw

    def forward(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """Encode defended images to codes ``(B, K)`` in (-1, 1)."""
        defended = self.defence(images, self.ids, self._draw)
        self._draw += 1
        return self.encoder(defended, alpha=alpha)
