"""SDHA, "A Smart Adversarial Attack on Deep Hashing Based Image Retrieval".

Lu, Chen, Sun, Wang, Wang and Yang, ICMR 2021; details as in repository xandery-geek/SAAT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lightning_modules.attacks.base import SplitKnowledge, check_knowledge
from lightning_modules.attacks.descent import Descent, Encode, GradientAttack, Objective, Precision
from lightning_modules.attacks.neighbours import Neighbours, find_neighbours
from lightning_modules.attacks.schedules import AlphaSchedule
from lightning_modules.attacks.steps import Adam, Update
from lightning_modules.checks import check_positive
from lightning_modules.types import AttackGoal, CodeBook, binarize


class SDHAAttack(GradientAttack):
    """Changes the surrogate Hamming distance to every relevant item, and the picture as little as that allows.

    Minimises ``MSE(x', x) + strength / K * L``. Untargeted, ``L = -mean_r w_r d_r`` over the items r that share a class
    with the query (its own code if none does), ``d_r = sum_k |u_k - r_k| s(5 u_k r_k) / 2 + 1 - s(5 u_k r_k)`` and
    ``w_r = (D_r + offset)^-0.5``; targeted, ``L = mean_r w_r d_r`` over the items that share a class with the target,
    ``d_r = sum_k |u_k - r_k| s(-10 u_k r_k) / 2`` and ``w_r = (D_r + offset)^0.3``. s is the logistic function, D_r
    the Hamming distance of sign u and r; bits that are flipped already get next to no gradient.

    The published ``offset`` of 1e-8 gives an untargeted query weight 10^4 on items of its own code, and 1 once a
    bit is flipped: Adam, which has seen the large gradients, hardly moves after that. With 1 it goes on.

    Args:
        targeted: pull to the target label, or push away from the own label.
        iterations: 1,500 in the paper.
        eps: L-infinity budget in [0, 1] units, 8/255 in SAAT's code.
        step: of Adam, 0.01.
        strength: 25; weight of the distances, for codes of any length.
        offset: keeps the weights finite; 1e-8 in SAAT's code.
        alpha_schedule: slope of the tanh.
        knowledge: the relevant items are looked for in the ``training`` split, as in SAAT's code, or in the whole
            ``database``.
        precision: of the victim's forward and backward pass.

    Raises:
        ValueError: a budget, step or count that is not positive, or an unknown option.
    """

    def __init__(
        self,
        targeted: bool = True,
        iterations: int = 1500,
        eps: float = 8 / 255,
        step: float = 0.01,
        strength: float = 25.0,
        offset: float = 1e-8,
        alpha_schedule: AlphaSchedule = "relative",
        knowledge: SplitKnowledge = "training",
        precision: Precision = "float32",
    ) -> None:
        check_positive(step=step, strength=strength, offset=offset)
        super().__init__(Descent(iterations, eps, alpha_schedule, precision))
        self.targeted, self.step, self.strength, self.offset = targeted, step, strength, offset
        self.knowledge = check_knowledge(knowledge)

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Take the codes along; there is no anchor, the goal is many codes."""
        return AttackGoal(label, ids=tuple(ids), seed=seed, book=knowledge)

    def update(self) -> Update:
        """Return Adam."""
        return Adam(self.step)

    def objective(self, images: Tensor, goal: AttackGoal, encode: Encode) -> Objective:
        """Return the weighted surrogate distances plus the change of the picture."""
        if goal.book is None:
            raise ValueError("this attack needs the codes of known items: call aim() first")
        own = None if self.targeted else binarize(encode(images).detach())
        neighbours = find_neighbours(goal, goal.book, own).to(images)
        sign, distance, power = (1, targeted_term, 0.3) if self.targeted else (-1, untargeted_term, -0.5)
        weights = ItemWeights(neighbours, power, self.offset)
        factor = sign * self.strength / neighbours.num_bits

        def loss(encode: Encode, adversarial: Tensor) -> Tensor:
            codes = encode(adversarial)
            change = (adversarial - images).square().flatten(1).mean(dim=1)
            return change + factor * weighted_distance(codes, *weights(codes), distance)

        return loss


def untargeted_term(product: Tensor) -> Tensor:
    """Return ``|u - r| s(5 u r) / 2 + 1 - s(5 u r)`` of ``u r``: for r in {-1, +1}, ``|u - r| = 1 - u r``."""
    return 1 - torch.sigmoid(5 * product) * (1 + product) / 2


def targeted_term(product: Tensor) -> Tensor:
    """Return ``|u - r| s(-10 u r) / 2`` of ``u r``."""
    return torch.sigmoid(-10 * product) * (1 - product) / 2


def weighted_distance(codes: Tensor, plus: Tensor, minus: Tensor, term: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum ``w_r term(u_k r_k)`` over items and bits, given the weight of the items whose bit is +1 and -1.

    Args:
        codes: u, ``(B, K)``.
        plus: ``(B, K)`` sums of the weights of items with bit +1.
        minus: the same for -1.
        term: distance of one bit.

    Returns:
        ``(B,)``.
    """
    return (plus * term(codes) + minus * term(-codes)).sum(dim=1)


class ItemWeights:
    """Sums of the items' weights per bit, computed anew for queries whose signs have changed only.

    A bit has two values, so that all items together come to two numbers per bit; items of one code count together.

    Args:
        neighbours: the relevant items of each query.
        power: of the Hamming distance.
        offset: added to the distance.
    """

    def __init__(self, neighbours: Neighbours, power: float, offset: float) -> None:
        self._shares, self._codes = neighbours.shares, neighbours.codes
        steps = torch.arange(neighbours.num_bits + 1, dtype=torch.float64, device=self._codes.device)
        self._of_distance = (steps + offset).pow(power).to(self._codes)
        self._signs = self._plus = self._minus = self._codes.new_zeros(len(self._shares), neighbours.num_bits)

    @torch.no_grad()
    def __call__(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of items with bit +1 and with bit -1, each ``(B, K)``, for codes ``(B, K)``."""
        signs = binarize(codes).to(self._codes)
        changed = (signs != self._signs).any(dim=1).nonzero().flatten()
        if len(changed):
            products = signs[changed] @ self._codes.T
            distances = ((self._codes.shape[1] - products) / 2).round().long()
            weights = self._shares[changed] * self._of_distance.take(distances)
            difference, total = weights @ self._codes, weights.sum(dim=1, keepdim=True)
            self._signs = signs
            self._plus = self._plus.index_copy(0, changed, (total + difference) / 2)
            self._minus = self._minus.index_copy(0, changed, (total - difference) / 2)
        return self._plus, self._minus
