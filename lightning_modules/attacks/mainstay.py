"""The mainstay attack of SAAT: "Semantic-Aware Adversarial Training for Reliable Deep Hashing Retrieval".

Yuan, Zhang, Wang and Wu, IEEE TIFS 2023; details as in the code of its authors, repository xandery-geek/SAAT.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from lightning_modules.attacks.base import SplitKnowledge, check_knowledge
from lightning_modules.attacks.descent import Descent, Encode, GradientAttack, Objective, Precision, anchor_of
from lightning_modules.attacks.noise import noise_of
from lightning_modules.attacks.schedules import AlphaSchedule
from lightning_modules.attacks.steps import Update, steepest
from lightning_modules.checks import check_positive
from lightning_modules.types import AttackGoal, CodeBook, binarize

MARGIN = 0.5


class MainstayAttack(GradientAttack):
    """Projected gradient descent towards (or away from) the one code that stands for a label best.

    The mainstay code of a label is near the codes of all items that share a class with it, and far from all others;
    see :func:`mainstay_code`. A query is driven to the mainstay code of its target label, or, untargeted, away from
    that of its own. T-MAP and MAP of that code (of its negative) say how far the attack can get on average.

    Where SAAT's code divides the objective of a whole batch by its number of bits, this one divides that of each
    image, which a sign step does not notice.

    Args:
        targeted: pull to the target label, or push away from the own label.
        iterations: 100 in the paper.
        eps: L-infinity budget in [0, 1] units; 8/255 in the paper.
        step: of the gradient's sign; 1/255 in SAAT's code.
        random_start: start uniformly within the budget instead of at the image.
        alpha_schedule: slope of the tanh; SAAT has the break points at tenths of the budget, ``relative``.
        knowledge: items whose codes vote: those of the ``training`` split, as in the paper, or the whole ``database``.
        precision: of the victim's forward and backward pass.

    Raises:
        ValueError: a budget, step or count that is not positive, or an unknown option.
    """

    def __init__(
        self,
        targeted: bool = True,
        iterations: int = 100,
        eps: float = 8 / 255,
        step: float = 1 / 255,
        random_start: bool = True,
        alpha_schedule: AlphaSchedule = "relative",
        knowledge: SplitKnowledge = "training",
        precision: Precision = "float32",
    ) -> None:
        check_positive(step=step)
        super().__init__(Descent(iterations, eps, alpha_schedule, precision))
        self.targeted, self.step, self.random_start = targeted, step, random_start
        self.knowledge = check_knowledge(knowledge)

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Find the mainstay code of each label; an untargeted attack steers towards its negative."""
        code = mainstay_code(label, knowledge)
        return AttackGoal(label, code if self.targeted else -code, ids=tuple(ids), seed=seed)

    def update(self) -> Update:
        """Return the sign step."""
        return steepest("sign", self.step)

    def start(self, images: Tensor, goal: AttackGoal) -> Tensor:
        """Return a uniform delta within the budget and the range, or zero."""
        if not self.random_start:
            return super().start(images, goal)
        eps = self.descent.eps
        noise = noise_of(goal, images, "mainstay start").uniform(images, -eps, eps)
        return self.descent.project(images, noise)

    def objective(self, images: Tensor, goal: AttackGoal, encode: Encode) -> Objective:
        """Return :func:`mainstay_loss` for the codes of an iteration."""
        anchor, targeted = anchor_of(goal, images), self.targeted
        mainstay = anchor if targeted else -anchor
        return lambda encode, adversarial: mainstay_loss(encode(adversarial), mainstay, targeted)


def mainstay_code(label: Tensor, knowledge: CodeBook) -> Tensor:
    """Return the code that lies nearest to similar and farthest from dissimilar items.

    ``m = sign(sum_j w+_j b_j - sum_j w-_j b_j)`` maximises ``sum_j (w+_j - w-_j) <m, b_j>`` over all codes in
    {-1, +1}^K. ``w+_j`` is the cosine of the two label vectors, ``w-_j`` is 1 where they share no class; each is
    divided by its sum over the items. A bit without majority becomes +1.

    Args:
        label: uint8 ``(B, C)``.
        knowledge: ``N`` codes and labels.

    Returns:
        int8 ``(B, K)`` in {-1, +1}.

    Raises:
        ValueError: the code book is empty.
    """
    if len(knowledge) == 0:
        raise ValueError("the mainstay code is a vote of known codes: the code book is empty")
    # Labels are small integers and float64 sums of them exact enough that rounding decides no vote.
    similar = F.normalize(label.double().cpu(), dim=1) @ F.normalize(knowledge.labels.double().cpu(), dim=1).T
    dissimilar = (similar == 0).double()
    weights = F.normalize(similar, p=1, dim=1) - F.normalize(dissimilar, p=1, dim=1)
    return binarize((weights @ knowledge.codes.double().cpu()).round(decimals=12))


def mainstay_loss(codes: Tensor, mainstay: Tensor, targeted: bool) -> Tensor:
    """Return SAAT's objective, the mean of ``(s + 2) s`` over bits with ``s = u m`` that are not there yet.

    Args:
        codes: ``(B, K)`` in (-1, 1).
        mainstay: ``(B, K)`` in {-1, +1}.
        targeted: drive ``s`` above 1/2 (the negative mean over ``s < 1/2``), or below -1/2.

    Returns:
        ``(B,)``; zero, without gradient, where every bit is there.
    """
    products = codes * mainstay
    active = (products < MARGIN) if targeted else (products > -MARGIN)
    terms = ((products + 2) * products * active).sum(dim=1) / active.sum(dim=1).clamp_min(1)
    return -terms if targeted else terms
