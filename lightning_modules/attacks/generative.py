"""GenerativeAttack: one pass of a generator that was trained against a hasher."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from lightning_modules.attacks.descent import Precision
from lightning_modules.attacks.trained import TrainedAttack
from lightning_modules.checks import check_images, check_positive
from lightning_modules.types import AttackGoal, Victim


class GenerativeAttack(TrainedAttack):
    """A generator makes adversarial images of images and the semantics of a target; the victim is not asked again.

    Published ones have no L-infinity budget: only the reconstruction term of the training keeps an adversarial image
    near the original, so their T-MAP does not compare with that of an attack of 8/255 unless the distortion stands
    beside it, or ``eps`` is set.

    Args:
        folder: folder of the trained attack.
        eps: clip the change to this L-infinity budget in [0, 1] units; None, as published, does not.
        precision: ``float32`` or ``bfloat16`` for the generator.

    Raises:
        ValueError: no such folder, damaged files, a budget that is not positive or an unknown precision.
    """

    generator: nn.Module

    def __init__(self, folder: str, eps: float | None = None, precision: Precision = "float32") -> None:
        check_positive(eps=eps)
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision={precision!r}: expected 'float32' or 'bfloat16'")
        super().__init__(folder)
        self.eps, self.precision = eps, precision

    @abstractmethod
    def semantics(self, goal: AttackGoal) -> Tensor:
        """Return what the generator is conditioned on, for each query."""

    @torch.no_grad()
    def forward(self, images: Tensor, goal: AttackGoal, victim: Victim) -> Tensor:
        """Generate adversarial images; see :meth:`Attack.forward`."""
        del victim
        check_images(images)
        side = self.facts.image_size
        if images.shape[2:] != (side, side):
            raise ValueError(f"images have {images.shape[2]} x {images.shape[3]} px, this attack {side} x {side}")
        semantic = self.semantics(goal)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            made = self.generator(2 * images.float() - 1, semantic)
        adversarial = (made.float() + 1) / 2
        if self.eps is not None:
            adversarial = images + (adversarial - images).clamp(-self.eps, self.eps)
        return adversarial.clamp(0, 1)

    def image_size(self) -> int:
        """Return the side of the pictures.

        Raises:
            ValueError: config.json gives none.
        """
        if self.facts.image_size is None:
            raise ValueError(f"attack folder {self.folder!r}: config.json gives no image_size")
        return self.facts.image_size
