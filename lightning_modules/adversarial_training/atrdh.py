"""ATRDH: Targeted Attack and Defense for Deep Hashing (Wang et al., SIGIR 2021), the defence."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.adversarial_training.inner import PGDTraining, no_autocast
from lightning_modules.attacks.descent import Precision
from lightning_modules.attacks.networks import Prototype, PrototypeNet
from lightning_modules.attacks.training.objectives import THAPrototype
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.gather import gather_rows
from lightning_modules.hashing.losses.base import TrainingFacts
from lightning_modules.hashing.losses.dph_l2 import product_regression
from lightning_modules.hashing.similarity import share_a_class
from lightning_modules.randomness import sample_numpy_generator
from lightning_modules.types import Batch, binarize


class ATRDH(PGDTraining):
    """ATRDH: targeted attacks towards learned prototypes; adversarial codes keep the similarities of their own labels.

    Each step draws a target label per picture, takes the prototype network's code of it, and attacks towards its
    sign. The network then minimises ``mean_j (u_adv . U_j / K - S_ij)^2`` beside the hashing loss, and the prototype
    network its own loss, in one optimiser step of both: neither's gradient reaches the other.

    Target labels are drawn uniformly from the different label vectors of the training split, in the paper of the
    database.

    Args:
        prototype_quantisation: weight of the distance of prototypes to binary codes (1e-4 in the authors' code).
        weight: of the adversarial term (1 in the authors' code).
        eps: L-infinity budget in [0, 1] units.
        step: of the gradient's sign.
        iterations: steps of the attack.
        attack_in_train_mode: see :class:`~lightning_modules.adversarial_training.inner.PGDTraining`.
        precision: of the attack's passes.
        seed: of targets and starts.

    Raises:
        ValueError: an option that is not positive.
    """

    prototypes: PrototypeNet

    def __init__(
        self,
        prototype_quantisation: float = 1e-4,
        weight: float = 1.0,
        eps: float = 8 / 255,
        step: float = 2 / 255,
        iterations: int = 7,
        attack_in_train_mode: bool = False,
        precision: Precision = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(weight, eps, step, iterations, attack_in_train_mode, precision, seed)
        self.objective = THAPrototype(prototype_quantisation)

    def setup(self, facts: TrainingFacts) -> None:
        """Create the memory and the prototype network."""
        super().setup(facts)
        self.prototypes = PrototypeNet(facts.labels.shape[1], facts.num_bits, classifier=False)

    def draw_targets(self, batch: Batch) -> Tensor:
        """Draw one target label for each picture, uint8 ``(B, C)``."""
        different = self.memory.labels.unique(dim=0)
        purpose = self.stream("target")
        rows = [int(sample_numpy_generator(self.seed, purpose, one).integers(len(different))) for one in batch.ids]
        return different[torch.tensor(rows, device=different.device)]

    def prototype_loss(self, prototype: Prototype, targets: Tensor) -> Tensor:
        """Loss of the prototype network, a scalar, over the targets of all processes.

        Args:
            prototype: what the network makes of the targets.
            targets: labels ``(B, C)``.
        """
        everything, _ = gather_rows(prototype.code)
        labels, _ = gather_rows(targets)
        codes = binarize(self.memory.codes).to(everything)
        terms = self.objective(prototype._replace(code=everything), labels, codes, self.memory.labels)
        return torch.stack(list(terms.values())).sum()

    def forward(self, encoder: HashEncoder, batch: Batch, codes: Tensor) -> Tensor:
        """See :meth:`AdversarialTraining.forward`; each value has the prototype network's loss in it."""
        with no_autocast(codes):
            self.memory.write(batch.index, codes)
            targets = self.draw_targets(batch)
            prototype = self.prototypes(targets)
            own = self.prototype_loss(prototype, targets)
        adversarial = self.adversarial_codes(encoder, batch, binarize(prototype.code))
        with no_autocast(codes):
            similarity = share_a_class(batch.label, self.memory.labels)
            return self.weight * product_regression(adversarial, self.memory.codes, similarity) + own
