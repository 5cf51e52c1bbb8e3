"""HAG, the Hash Adversary Generation of "Adversarial Examples for Hamming Space Search".

Yang, Liu, Deng and Tao, IEEE Transactions on Cybernetics 2018; details as in repository xandery-geek/SAAT.
"""

from __future__ import annotations

from torch import Tensor

from lightning_modules.attacks.descent import Descent, Encode, GradientAttack, Objective, Precision
from lightning_modules.attacks.schedules import AlphaSchedule
from lightning_modules.attacks.steps import HeavyBall, Update
from lightning_modules.checks import check_positive
from lightning_modules.types import AttackGoal, binarize

FLIPPED = 1.5  # a bit this far from the sign of the clean one has the other sign, and distance enough
TINY = 1e-8


class HAGAttack(GradientAttack):
    """Untargeted: moves the code of a query as far from the code of its own clean image as it goes.

    It needs neither labels nor codes of other items. Its reach is modest for that reason: the code farthest from the
    own one is not the one farthest from all relevant items, which SDHA and the mainstay attack look for.

    Args:
        iterations: 2,000 in the paper.
        eps: L-infinity budget in [0, 1] units, 8/255 in SAAT's code.
        step: of gradient descent with momentum.
        momentum: 0.9.
        balance: weight of the term that keeps as many bits +1 as -1.
        legacy_batch: divide gradients by this batch size, as a mean over the batch does (128 in SAAT's code); None
            takes each image by itself.
        alpha_schedule: slope of the tanh.
        precision: of the victim's forward and backward pass.

    Raises:
        ValueError: a budget, step or count that is not positive, or an unknown option.
    """

    targeted = False
    knowledge = "nothing"

    def __init__(
        self,
        iterations: int = 2000,
        eps: float = 8 / 255,
        step: float = 100.0,
        momentum: float = 0.9,
        balance: float = 1.0,
        legacy_batch: int | None = None,
        alpha_schedule: AlphaSchedule = "relative",
        precision: Precision = "float32",
    ) -> None:
        check_positive(step=step, legacy_batch=legacy_batch)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum={momentum}: expected 0 <= momentum < 1")
        if not balance >= 0:
            raise ValueError(f"balance={balance}: expected a number of at least 0")
        super().__init__(Descent(iterations, eps, alpha_schedule, precision))
        self.step, self.momentum, self.balance = step / (legacy_batch or 1), momentum, balance

    def update(self) -> Update:
        """Return gradient descent with momentum."""
        return HeavyBall(self.step, self.momentum)

    def objective(self, images: Tensor, goal: AttackGoal, encode: Encode) -> Objective:
        """Return :func:`hag_loss` against the codes of the clean images."""
        clean, balance = encode(images).detach(), self.balance
        return lambda encode, adversarial: hag_loss(encode(adversarial), clean, balance)


def hag_loss(codes: Tensor, clean: Tensor, balance: float = 1.0) -> Tensor:
    """Return ``(sum_k w_k u_k v_k / sum_k w_k + 1)^2 + balance (mean_k w_k u_k)^2``.

    ``w_k`` is 1 for bits that are not flipped yet, ``|u_k - sign v_k| < 1.5``, and 0 for the others.

    Args:
        codes: u, ``(B, K)`` in (-1, 1).
        clean: v, the same of the clean images at slope 1.
        balance: weight of the second term.

    Returns:
        ``(B,)``.
    """
    waiting = ((codes - binarize(clean)).abs() < FLIPPED).to(codes)
    agreement = (waiting * codes * clean).sum(dim=1) / (waiting.sum(dim=1) + TINY)
    return (agreement + 1).square() + balance * (waiting * codes).mean(dim=1).square()
