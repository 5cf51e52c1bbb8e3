"""ProS-GAN: a prototype-supervised adversarial network (Wang et al., CVPR 2021, arXiv 2105.07553)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lightning_modules.attacks.folder import load_prefixed
from lightning_modules.attacks.networks import ProSGANGenerator, PrototypeNet
from lightning_modules.attacks.trained import PrototypeAttack
from lightning_modules.checks import check_images
from lightning_modules.types import AttackGoal, Victim


class ProSGAN(PrototypeAttack):
    """One pass of a generator that was trained against a hasher; the victim is not asked again.

    The published attack has no L-infinity budget: only the reconstruction term of its training keeps an adversarial
    image near the original, so its T-MAP does not compare with that of an attack of 8/255 unless its distortion
    stands beside it, or ``eps`` is set.

    Args:
        folder: folder that :class:`~lightning_modules.attacks.training.ProSGANTraining` or
            ``python -m lightning_modules.attacks.importing`` wrote.
        eps: clip the change to this L-infinity budget in [0, 1] units; None, as published, does not.
        precision: ``float32`` or ``bfloat16`` for the generator.

    Raises:
        ValueError: no such folder, damaged files, a budget that is not positive or an unknown precision.
    """

    generator: ProSGANGenerator

    def __init__(
        self, folder: str, eps: float | None = None, precision: Literal["float32", "bfloat16"] = "float32"
    ) -> None:
        if eps is not None and not eps > 0:
            raise ValueError(f"eps={eps}: expected a positive number, or null for no budget")
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision={precision!r}: expected 'float32' or 'bfloat16'")
        super().__init__(folder)
        self.eps, self.precision = eps, precision

    def _build(self, tensors: dict[str, Tensor]) -> None:
        """Make prototype network and generator."""
        facts, options = self.facts, self.facts.options or {}
        if facts.image_size is None:
            raise ValueError(f"attack folder {self.folder!r}: config.json gives no image_size")
        self.prototype = PrototypeNet(facts.num_classes, facts.num_bits)
        self.generator = ProSGANGenerator(facts.image_size, **options)
        networks = {"prototype": self.prototype, "generator": self.generator}
        load_prefixed(networks, tensors, f"attack folder {self.folder!r}")

    @torch.no_grad()
    def forward(self, images: Tensor, goal: AttackGoal, victim: Victim) -> Tensor:
        """Generate adversarial images; see :meth:`Attack.forward`."""
        del victim
        check_images(images)
        side = self.generator.image_size
        if images.shape[2:] != (side, side):
            raise ValueError(f"images have {images.shape[2]} x {images.shape[3]} px, this attack {side} x {side}")
        semantic = self.prototype(goal.label.to(self.device)).semantic
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            made = self.generator(2 * images.float() - 1, semantic)
        adversarial = (made.float() + 1) / 2
        if self.eps is not None:
            adversarial = images + (adversarial - images).clamp(-self.eps, self.eps)
        return adversarial.clamp(0, 1)
