"""NAG, the Noise-induced Adversarial Generation of "You See What I Want You to See".

Xiao and Wang, "Exploring Targeted Black-Box Transferability Attack for Hash-Based Image Retrieval Systems", CVPR 2021;
details as in the code of its authors, repository SugarRuy/CVPR21_Transferred_Hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from lightning_modules.attacks.anchors import voting_anchor
from lightning_modules.attacks.descent import Descent, Encode, GradientAttack, Objective, Precision, anchor_of
from lightning_modules.attacks.diversity import diversify
from lightning_modules.attacks.noise import noise_of
from lightning_modules.attacks.schedules import AlphaSchedule
from lightning_modules.attacks.steps import SignedMomentum, Update
from lightning_modules.checks import check_positive
from lightning_modules.randomness import SampleNoise
from lightning_modules.types import AttackGoal, CodeBook

NoiseKind = Literal["uniform", "normal"]


class NAGAttack(GradientAttack):
    """Targeted transfer: the anchor's code at the image and at noisy copies of it, so that it holds elsewhere too.

    Minimises ``mean_k |u_k(x') - h_k| + strength * mean_k |u_k(x' + n) - h_k|`` with fresh noise n at every step. The
    authors do not project: their 32 steps of 1/255 are a budget of 32/255, the default here. Compare it with other
    attacks at their budget, ``eps: 8/255``. It takes two forward passes per iteration.

    Momentum and input diversity are options of the authors' code. There the gradient at the smaller, shifted picture
    is applied to the unshifted one; here it goes through the shrinking, as in the work that the option comes from.

    Args:
        num_items: items that vote for the anchor; one in the paper.
        iterations: 32.
        eps: L-infinity budget in [0, 1] units.
        step: of the gradient's sign, 1/255.
        strength: weight of the noisy copy, 1.
        radius: of the noise in [0, 1] units, 32/255.
        noise: ``uniform`` in [-radius, radius], or ``normal`` of deviation radius / 3 clipped to it.
        momentum: decay of MI-FGSM's momentum; 0 is none, 1 the authors' other choice.
        diversity: probability that an iteration sees the picture smaller and shifted; 0 is never, the authors' other
            choice is 0.5.
        alpha_schedule: slope of the tanh; ``constant`` in the authors' code.
        precision: of the victim's forward and backward pass.

    Raises:
        ValueError: a budget, step or count that is not positive, or an unknown option.
    """

    def __init__(
        self,
        num_items: int = 1,
        iterations: int = 32,
        eps: float = 32 / 255,
        step: float = 1 / 255,
        strength: float = 1.0,
        radius: float = 32 / 255,
        noise: NoiseKind = "uniform",
        momentum: float = 0.0,
        diversity: float = 0.0,
        alpha_schedule: AlphaSchedule = "constant",
        precision: Precision = "float32",
    ) -> None:
        check_positive(num_items=num_items, step=step, strength=strength, radius=radius)
        if noise not in ("uniform", "normal"):
            raise ValueError(f"noise={noise!r}: expected 'uniform' or 'normal'")
        for name, value in (("momentum", momentum), ("diversity", diversity)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value}: expected a number in [0, 1]")
        super().__init__(Descent(iterations, eps, alpha_schedule, precision))
        self.num_items, self.step, self.strength = num_items, step, strength
        self.radius, self.noise, self.momentum, self.diversity = radius, noise, momentum, diversity

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Vote for one anchor code per query, as P2P and DHTA do."""
        return AttackGoal(label, voting_anchor(label, ids, knowledge, self.num_items, seed), ids=tuple(ids), seed=seed)

    def update(self) -> Update:
        """Return the sign step, with momentum if asked for."""
        return SignedMomentum(self.step, self.momentum)

    def objective(self, images: Tensor, goal: AttackGoal, encode: Encode) -> Objective:
        """Return the distance to the anchor, of the image and of a noisy copy."""
        anchor = anchor_of(goal, images)
        noise, views = noise_of(goal, images, "nag noise"), noise_of(goal, images, "nag diversity")

        def loss(encode: Encode, adversarial: Tensor) -> Tensor:
            seen = adversarial
            if self.diversity:
                seen = diversify(adversarial, views.uniform(images.new_empty(len(images), 4)), self.diversity)
            noisy = seen + self._draw(noise, images)
            return (encode(seen) - anchor).abs().mean(1) + self.strength * (encode(noisy) - anchor).abs().mean(1)

        return loss

    def _draw(self, noise: SampleNoise, like: Tensor) -> Tensor:
        if self.noise == "uniform":
            return noise.uniform(like, -self.radius, self.radius)
        return (noise(like) * (self.radius / 3)).clamp(-self.radius, self.radius)
