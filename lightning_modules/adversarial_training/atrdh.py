"""ATRDH: Targeted Attack and Defense for Deep Hashing (Wang et al., SIGIR 2021), the defence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.adversarial_training.inner import PGDTraining, no_autocast
from lightning_modules.attacks.descent import Precision
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.gather import gather_rows
from lightning_modules.hashing.losses.base import TrainingFacts
from lightning_modules.hashing.losses.dph_l2 import product_regression
from lightning_modules.hashing.losses.dpsh import quantisation
from lightning_modules.hashing.similarity import share_a_class
from lightning_modules.randomness import sample_numpy_generator
from lightning_modules.types import Batch, binarize

WIDTHS = (4096, 512)


class Prototypes(nn.Sequential):
    """The paper's PrototypeNet: labels float ``(B, C)`` to codes ``(B, K)`` in (-1, 1).

    Args:
        num_classes: C.
        num_bits: K.
    """

    def __init__(self, num_classes: int, num_bits: int) -> None:
        wide, narrow = WIDTHS
        super().__init__(
            nn.Linear(num_classes, wide), nn.ReLU(), nn.Linear(wide, narrow), nn.Linear(narrow, num_bits), nn.Tanh()
        )


def circle_loss(products: Tensor, similarity: Tensor) -> Tensor:
    """Sum of log-sum-exps over all pairs: ``log sum exp(a_n s_n) + log sum exp(-a_p s_p)``.

    ``a_n = max(s_n + 2, 0)`` and ``a_p = max(2 - s_p, 0)`` are constants for the gradient.

    Args:
        products: s, float ``(B, N)`` in (-1, 1).
        similarity: ``(B, N)``, positive for similar pairs.

    Returns:
        a scalar; a kind of pair that does not occur adds nothing.
    """
    constants = products.detach()
    kinds = {
        True: -(2 - constants).clamp_min(0) * products,
        False: (constants + 2).clamp_min(0) * products,
    }
    total = products.new_zeros(())
    for similar, logits in kinds.items():
        chosen = logits[(similarity > 0) == similar]
        total = total + (chosen.logsumexp(dim=0) if len(chosen) else 0)
    return total


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

    prototypes: Prototypes

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
        self.prototype_quantisation = prototype_quantisation

    def setup(self, facts: TrainingFacts) -> None:
        """Create the memory and the prototype network."""
        super().setup(facts)
        self.prototypes = Prototypes(facts.labels.shape[1], facts.num_bits)

    def draw_targets(self, batch: Batch) -> Tensor:
        """Draw one target label for each picture, uint8 ``(B, C)``."""
        different = self.memory.labels.unique(dim=0)
        purpose = self.stream("target")
        rows = [int(sample_numpy_generator(self.seed, purpose, one).integers(len(different))) for one in batch.ids]
        return different[torch.tensor(rows, device=different.device)]

    def prototype_loss(self, prototypes: Tensor, targets: Tensor) -> Tensor:
        """Loss of the prototype network, a scalar, over the targets of all processes.

        Args:
            prototypes: float ``(B, K)`` in (-1, 1).
            targets: their labels ``(B, C)``.
        """
        everything, _ = gather_rows(prototypes)
        labels, _ = gather_rows(targets)
        products = everything @ binarize(self.memory.codes).to(everything).T / everything.shape[1]
        pairs = circle_loss(products, share_a_class(labels, self.memory.labels))
        distance = quantisation(everything).sum()
        return (pairs + self.prototype_quantisation * distance) / len(everything)

    def forward(self, encoder: HashEncoder, batch: Batch, codes: Tensor) -> Tensor:
        """See :meth:`AdversarialTraining.forward`; each value has the prototype network's loss in it."""
        with no_autocast(codes):
            self.memory.write(batch.index, codes)
            targets = self.draw_targets(batch)
            prototypes = self.prototypes(targets.float())
            own = self.prototype_loss(prototypes, targets)
        adversarial = self.adversarial_codes(encoder, batch, binarize(prototypes))
        with no_autocast(codes):
            similarity = share_a_class(batch.label, self.memory.labels)
            return self.weight * product_regression(adversarial, self.memory.codes, similarity) + own
