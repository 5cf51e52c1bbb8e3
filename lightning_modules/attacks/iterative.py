"""Iterative targeted attacks P2P and DHTA (Bai et al., ECCV 2020, arXiv 2004.07955)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lightning_modules.attacks.anchors import voting_anchor
from lightning_modules.attacks.base import Attack, frozen
from lightning_modules.attacks.schedules import AlphaSchedule, alpha_at
from lightning_modules.checks import check_images
from lightning_modules.types import AttackGoal, CodeBook, Victim

StepRule = Literal["raw", "l2", "sign"]


class IterativeCodeAttack(Attack):
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
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        super().__init__()
        positive = {"num_items": num_items, "iterations": iterations, "eps": eps, "step": step}
        if legacy_batch is not None:
            positive["legacy_batch"] = legacy_batch
        for name, value in positive.items():
            if not value > 0:  # also refuses NaN
                raise ValueError(f"{name}={value}: expected a positive number")
        if step_rule not in ("raw", "l2", "sign"):
            raise ValueError(f"step_rule={step_rule!r}: expected 'raw', 'l2' or 'sign'")
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision={precision!r}: expected 'float32' or 'bfloat16'")
        alpha_at(0, iterations, alpha_schedule)  # refuses an unknown schedule now, not in the first iteration
        self.num_items, self.iterations, self.eps = num_items, iterations, eps
        self.step_rule = step_rule
        self.step = step / legacy_batch if legacy_batch is not None and step_rule == "raw" else step
        self.alpha_schedule, self.replacement, self.precision = alpha_schedule, replacement, precision

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Vote for one anchor code per query; see :meth:`Attack.aim`."""
        code = voting_anchor(label, ids, knowledge, self.num_items, seed, self.replacement)
        return AttackGoal(label, code)

    def forward(self, images: Tensor, goal: AttackGoal, victim: Victim) -> Tensor:
        """Craft adversarial images; see :meth:`Attack.forward`."""
        check_images(images)
        if goal.code is None:
            raise ValueError("this attack needs an anchor code: call aim() first")
        with frozen(victim) as model:
            # Copies: autograd refuses tensors made in inference mode, as in Trainer.test.
            images = images.detach().clone()
            anchor = goal.code.clone().to(images)
            delta = torch.zeros_like(images)
            for iteration in range(self.iterations):
                alpha = alpha_at(iteration, self.iterations, self.alpha_schedule)
                adversarial = (images + delta).requires_grad_()
                with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                    codes = model(adversarial, alpha=alpha).float()
                # The sum over images keeps them independent; the mean is over bits only.
                loss = -(codes * anchor).mean(dim=1).sum()
                (gradient,) = torch.autograd.grad(loss, adversarial)
                with torch.no_grad():
                    delta = self._project(images, delta - self.step * self._direction(gradient))
        return images + delta

    def _direction(self, gradient: Tensor) -> Tensor:
        match self.step_rule:
            case "raw":
                return gradient
            case "l2":
                norm = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
                return gradient / norm.view(-1, 1, 1, 1)
            case "sign":
                return gradient.sign()

    def _project(self, images: Tensor, delta: Tensor) -> Tensor:
        return (images + delta.clamp(-self.eps, self.eps)).clamp(0, 1) - images
