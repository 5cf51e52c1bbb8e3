"""The attack inside of a training step: projected gradient descent from a random start."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from lightning_modules.attacks.base import frozen
from lightning_modules.attacks.descent import Descent, Precision
from lightning_modules.attacks.steps import steepest
from lightning_modules.checks import check_positive
from lightning_modules.hashing.adversarial import AdversarialTraining
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.randomness import SampleNoise
from lightning_modules.types import Batch


class PGDTraining(AdversarialTraining):
    """Adversarial training on pictures whose codes are driven towards a code, by signed steps.

    Args:
        weight: of the adversarial term.
        eps: L-infinity budget in [0, 1] units.
        step: of the gradient's sign.
        iterations: steps of the attack.
        attack_in_train_mode: attack the network with dropout and batch statistics, as the released code does; False
            attacks what will be attacked.
        precision: of the attack's passes.
        seed: of the starts.

    Raises:
        ValueError: a weight, budget, step or count that is not positive.
    """

    def __init__(
        self,
        weight: float = 1.0,
        eps: float = 8 / 255,
        step: float = 2 / 255,
        iterations: int = 7,
        attack_in_train_mode: bool = False,
        precision: Precision = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        check_positive(weight=weight, step=step)
        self.descent = Descent(iterations, eps, "constant", precision)
        self.weight, self.step, self.attack_in_train_mode = weight, step, attack_in_train_mode

    def craft(self, encoder: HashEncoder, batch: Batch, towards: Tensor) -> Tensor:
        """Minimise ``-mean_k u_k(x + delta) h_k`` from a uniform start within the budget.

        Args:
            encoder: the network in training; left as it was.
            batch: clean pictures.
            towards: h, ``(B, K)`` in {-1, +1}.

        Returns:
            float ``(B, 3, H, W)`` in [0, 1], detached.
        """
        eps, images = self.descent.eps, batch.image
        start = SampleNoise(self.seed, self.stream("start"), batch.ids).uniform(images, -eps, eps)
        towards = towards.to(images)
        with nullcontext() if self.attack_in_train_mode else frozen(encoder):
            return self.descent.run(
                images,
                encoder,
                lambda encode, adversarial: -(encode(adversarial) * towards).mean(dim=1),
                steepest("sign", self.step),
                self.descent.project(images, start),
            ).detach()

    def adversarial_codes(self, encoder: HashEncoder, batch: Batch, towards: Tensor) -> Tensor:
        """Encode what :meth:`craft` makes, with gradients of the network, float32 ``(B, K)`` in (-1, 1)."""
        return encoder(self.craft(encoder, batch, towards)).float()


def no_autocast(like: Tensor) -> torch.autocast:
    """Leave mixed precision: votes and losses are sums over many items."""
    return torch.autocast(like.device.type, enabled=False)
