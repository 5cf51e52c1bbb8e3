"""SAAT: Semantic-Aware Adversarial Training for Reliable Deep Hashing Retrieval (Yuan et al., IEEE TIFS 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.adversarial_training.centre import CentreTraining
from lightning_modules.attacks.descent import Precision
from lightning_modules.attacks.mainstay import mainstay_code
from lightning_modules.types import CodeBook, binarize


class SAAT(CentreTraining):
    """SAAT: the adversarial codes are pulled to the mainstay code of their labels, and to binary values.

    Args:
        quantisation: weight of the distance of adversarial codes to their signs (mu, 1e-4 in the authors' code).
        weight: of the pull (lambda, 1 in the authors' code).
        eps: L-infinity budget in [0, 1] units.
        step: of the gradient's sign.
        iterations: steps of the attack.
        attack_in_train_mode: see :class:`~lightning_modules.adversarial_training.inner.PGDTraining`.
        precision: of the attack's passes.
        seed: of the starts.

    Raises:
        ValueError: a negative weight of the quantisation, or another option that is not positive.
    """

    def __init__(
        self,
        quantisation: float = 1e-4,
        weight: float = 1.0,
        eps: float = 8 / 255,
        step: float = 2 / 255,
        iterations: int = 7,
        attack_in_train_mode: bool = False,
        precision: Precision = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(weight, eps, step, iterations, attack_in_train_mode, precision, seed)
        if not quantisation >= 0:
            raise ValueError(f"quantisation={quantisation}: expected 0 or more")
        self.quantisation = quantisation

    @torch.no_grad()
    def centre(self, labels: Tensor) -> Tensor:
        """See :func:`~lightning_modules.attacks.mainstay.mainstay_code`."""
        known = self.memory.labels
        return mainstay_code(labels, CodeBook(binarize(self.memory.codes), known, ("",) * len(known))).to(labels.device)
