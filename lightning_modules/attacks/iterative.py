"""Iterative targeted attacks P2P and DHTA (Bai et al., ECCV 2020, arXiv 2004.07955)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lightning_modules.attacks.anchors import voting_anchor
from lightning_modules.attacks.descent import Descent, Encode, GradientAttack, Objective, Precision, anchor_of
from lightning_modules.attacks.schedules import AlphaSchedule
from lightning_modules.attacks.steps import StepRule, Update, steepest
from lightning_modules.checks import check_positive
from lightning_modules.types import AttackGoal, CodeBook


class IterativeCodeAttack(GradientAttack):
    """Moves the continuous code of a query towards an anchor code within an L-infinity budget.

    Minimises ``J = -mean_k u_k(x + delta; alpha) h_k`` by gradient descent from ``delta = 0``. After each step
    delta is clamped to the budget and the image to [0, 1]. P2P and DHTA differ in ``num_items`` only.

    Args:
        num_items: items that vote for the anchor, n_t: 1 is P2P, 9 is DHTA.
        iterations: 500 (P2P) and 2,000 (DHTA) in the paper.
        eps: L-infinity budget in [0, 1] units, 8/255 in the paper.
        step_rule: ``raw`` adds the plain gradient times ``step`` (ProS-GAN repository, hence the paper),
            ``l2`` normalises the gradient of each image (original DHTA), ``sign`` takes its sign.
        step: step size; 1 for raw and l2, e.g. 1/255 for sign.
        alpha_schedule: slope of the tanh, see :func:`~lightning_modules.attacks.schedules.alpha_at`.
        legacy_batch: divide raw gradients by this batch size, as the reference code's mean over the batch
            does (32 there); of no effect on ``l2`` and ``sign``. None takes each image by itself.
        replacement: draw anchor items with replacement.
        precision: ``float32`` or ``bfloat16`` for the victim's forward and backward pass.

    Raises:
        ValueError: a budget, step or count that is not positive, or an unknown rule.
    """

    def __init__(
        self,
        num_items: int = 9,
        iterations: int = 2000,
        eps: float = 8 / 255,
        step_rule: StepRule = "raw",
        step: float = 1.0,
        alpha_schedule: AlphaSchedule = "absolute",
        legacy_batch: int | None = None,
        replacement: bool = True,
        precision: Precision = "float32",
    ) -> None:
        check_positive(num_items=num_items, step=step, legacy_batch=legacy_batch)
        super().__init__(Descent(iterations, eps, alpha_schedule, precision))
        self.num_items, self.replacement, self.step_rule = num_items, replacement, step_rule
        self.step = step / legacy_batch if legacy_batch is not None and step_rule == "raw" else step
        self.update()  # refuses an unknown rule now

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Vote for one anchor code per query; see :meth:`Attack.aim`."""
        code = voting_anchor(label, ids, knowledge, self.num_items, seed, self.replacement)
        return AttackGoal(label, code, ids=tuple(ids), seed=seed)

    def update(self) -> Update:
        """Return the step rule."""
        return steepest(self.step_rule, self.step)

    def objective(self, images: Tensor, goal: AttackGoal, encode: Encode) -> Objective:
        """Return ``J``, for each image by itself."""
        anchor = anchor_of(goal, images)
        return lambda encode, adversarial: -(encode(adversarial) * anchor).mean(dim=1)
