"""THA: "Targeted Attack and Defense for Deep Hashing" (Wang, Zhang, Lu and Xu, SIGIR 2021)."""

from __future__ import annotations

from torch import Tensor

from lightning_modules.attacks.descent import Precision
from lightning_modules.attacks.folder import load_prefixed
from lightning_modules.attacks.iterative import IterativeCodeAttack
from lightning_modules.attacks.networks import PrototypeNet
from lightning_modules.attacks.trained import PrototypeAttack
from lightning_modules.types import AttackGoal, Victim


class THA(PrototypeAttack):
    """Signed gradient steps towards a code that a network made of the target label, its prototype code.

    The network is trained against the victim by :class:`~lightning_modules.attacks.training.PrototypeTraining` with
    the objective :class:`~lightning_modules.attacks.training.THAPrototype`; the steps are the iterative attack's, from
    the image itself and with the victim's own tanh, as in the authors' code.

    Args:
        folder: folder of the trained prototype network.
        iterations: 100 in the paper.
        eps: L-infinity budget in [0, 1] units; 8/255 in the paper.
        step: of the gradient's sign; 1/255 in the authors' code.
        precision: of the victim's forward and backward pass.

    Raises:
        ValueError: no such folder, damaged files, or a number that is not positive.
    """

    def __init__(
        self,
        folder: str,
        iterations: int = 100,
        eps: float = 8 / 255,
        step: float = 1 / 255,
        precision: Precision = "float32",
    ) -> None:
        super().__init__(folder)
        self.steps = IterativeCodeAttack(
            iterations=iterations, eps=eps, step_rule="sign", step=step, alpha_schedule="constant", precision=precision
        )

    def _build(self, tensors: dict[str, Tensor]) -> None:
        self.prototype = PrototypeNet(self.facts.num_classes, self.facts.num_bits, classifier=False)
        load_prefixed({"prototype": self.prototype}, tensors, f"attack folder {self.folder!r}")

    def forward(self, images: Tensor, goal: AttackGoal, victim: Victim) -> Tensor:
        """Craft adversarial images; see :meth:`Attack.forward`."""
        return self.steps(images, goal, victim)
