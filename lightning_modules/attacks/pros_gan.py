"""ProS-GAN: a prototype-supervised adversarial network (Wang et al., CVPR 2021, arXiv 2105.07553)."""

from __future__ import annotations

from torch import Tensor

from lightning_modules.attacks.folder import load_prefixed
from lightning_modules.attacks.generative import GenerativeAttack
from lightning_modules.attacks.networks import ProSGANGenerator, PrototypeNet
from lightning_modules.attacks.trained import PrototypeAttack
from lightning_modules.types import AttackGoal


class ProSGAN(GenerativeAttack, PrototypeAttack):
    """ProS-GAN's generator, conditioned on the semantics r_t of the target label.

    The folder is written by :class:`~lightning_modules.attacks.training.ProSGANTraining` or by
    ``python -m lightning_modules.attacks.convert``; for the options see :class:`GenerativeAttack`.
    """

    def _build(self, tensors: dict[str, Tensor]) -> None:
        facts = self.facts
        self.prototype = PrototypeNet(facts.num_classes, facts.num_bits)
        self.generator = ProSGANGenerator(self.image_size(), **(facts.options or {}))
        networks = {"prototype": self.prototype, "generator": self.generator}
        load_prefixed(networks, tensors, f"attack folder {self.folder!r}")

    def semantics(self, goal: AttackGoal) -> Tensor:
        """Return r_t ``(B, 512)``."""
        return self.prototype(goal.label.to(self.device)).semantic
