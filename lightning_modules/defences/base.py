"""Defence: images in, images out, in front of any encoder; a defended encoder is again a victim."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.configurable import Configurable
from lightning_modules.types import Victim


class Defence(nn.Module, Configurable, ABC):
    """Changes query images before they are hashed.

    Attributes:
        n_paths: independent repetitions per image whose codes vote: the image's code is the sign of the mean of
            their continuous codes. An average of the images would blur them, and would be hashed once.
    """

    n_paths: int = 1

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

    def paths(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Defend images ``n_paths`` times, with noise that no other ``draw`` uses; ``votes`` makes one code of them.

        Returns:
            float ``(n_paths, B, 3, H, W)`` in [0, 1]; the first of draw 0 is ``self(images, ids)``.
        """
        first = draw * self.n_paths
        return torch.stack([self(images, ids, first + path) for path in range(self.n_paths)])

    def facts(self, height: int, width: int) -> dict[str, float]:
        """Return what a table should say of the defence beside its options, for images of this size."""
        del height, width
        return {}

    def fingerprint(self) -> str:
        """Return what identifies the result: the specification, and the weights where there are any."""
        return hashlib.sha256(json.dumps(self.spec, sort_keys=True).encode()).hexdigest()


class NoDefence(Defence):
    """Leaves images as they are: the rows "clean" and "attacked" of a table."""

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        """Return the images."""
        del ids, draw
        return images


# Draws that an attacker sees: an evaluation, whose draws begin at 0, never gets here.
FIRST_ATTACK_DRAW = 1 << 20


class DefendedEncoder(nn.Module):
    """A defence composed with an encoder; attack it like any encoder.

    Codes are the mean over ``draws`` repetitions and the paths of each: the expectation over transformation (Athalye
    et al., 2018, arXiv 1707.07397) of the code. Every call draws fresh noise, none of which an evaluation uses.

    Args:
        defence: changes the images; differentiable in them if the attack needs gradients.
        encoder: the victim behind it.
        ids: ids of the samples that are attacked.
        draws: repetitions per call.
        first_draw: number of the first repetition.

    Raises:
        ValueError: fewer than one draw.
    """

    def __init__(
        self,
        defence: Defence,
        encoder: Victim,
        ids: Sequence[str],
        draws: int = 1,
        first_draw: int = FIRST_ATTACK_DRAW,
    ) -> None:
        super().__init__()
        if draws < 1:
            raise ValueError(f"draws={draws}: expected at least 1")
        self.defence, self.encoder, self.ids = defence, encoder, tuple(ids)
        self.draws, self._draw = draws, first_draw

    def forward(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """Encode defended images to codes ``(B, K)`` in (-1, 1)."""
        codes = []
        for _ in range(self.draws):
            codes += [self.encoder(path, alpha=alpha) for path in self.defence.paths(images, self.ids, self._draw)]
            self._draw += 1
        return torch.stack(codes).mean(dim=0)


def straight_through(images: Tensor, changed: Tensor) -> Tensor:
    """Return ``changed`` with the gradient of ``images``: the backward pass of an attacker (BPDA).

    Backward pass differentiable approximation by the identity (Athalye et al., 2018, arXiv 1802.00420), for what has
    no useful gradient of its own.
    """
    return images + (changed - images).detach() if images.requires_grad else changed
