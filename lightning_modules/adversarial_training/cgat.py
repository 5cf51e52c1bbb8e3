"""CgAT: Centre-guided Adversarial Training for Deep Hashing-Based Retrieval (Wang et al., WWW 2023)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lightning_modules.adversarial_training.centre import CentreTraining
from lightning_modules.attacks.descent import Precision
from lightning_modules.hashing.similarity import jaccard
from lightning_modules.types import binarize

Weighting = Literal["equal", "jaccard"]


def centre_code(labels: Tensor, codes: Tensor, known: Tensor, weighting: Weighting = "equal") -> Tensor:
    r"""Return the code nearest to similar and farthest from dissimilar items.

    .. math:: \mathrm{sign}\left( \frac1{N_p} \sum_{j \in P} w_j b_j - \frac1{N_n} \sum_{j \in N} b_j \right)

    maximises the same weighted sum of products with all ``b_j`` over {-1, +1}^K. P are the items that share a class
    with the label, N the others; a sum without items is zero, a bit without majority +1. So an item without any class
    is driven away from all; the released code gives it no centre, and divides by zero for two such items.

    Args:
        labels: ``(B, C)`` in {0, 1}.
        codes: b, ``(N, K)`` in {-1, +1}.
        known: their labels ``(N, C)`` in {0, 1}.
        weighting: of similar items: ``equal`` as in the released code, which computes the Jaccard index of the labels
            and then drops it; ``jaccard`` keeps it.

    Returns:
        int8 ``(B, K)`` in {-1, +1}.
    """
    shared = jaccard(labels, known).double()
    similar = (shared > 0).double()
    dissimilar = 1 - similar
    votes = shared if weighting == "jaccard" else similar
    votes = votes / similar.sum(dim=1, keepdim=True).clamp_min(1)
    votes = votes - dissimilar / dissimilar.sum(dim=1, keepdim=True).clamp_min(1)
    return binarize((votes @ codes.double()).round(decimals=9))  # a tie is a tie in whatever order it is summed


class CgAT(CentreTraining):
    """CgAT: the adversarial codes are pulled to the centre code of their labels.

    Args:
        weighting: see :func:`centre_code`.
        weight: of the adversarial term (1 in the authors' code).
        eps: L-infinity budget in [0, 1] units.
        step: of the gradient's sign.
        iterations: steps of the attack.
        attack_in_train_mode: see :class:`~lightning_modules.adversarial_training.inner.PGDTraining`.
        precision: of the attack's passes.
        seed: of the starts.

    Raises:
        ValueError: another weighting, or an option that is not positive.
    """

    def __init__(
        self,
        weighting: Weighting = "equal",
        weight: float = 1.0,
        eps: float = 8 / 255,
        step: float = 2 / 255,
        iterations: int = 7,
        attack_in_train_mode: bool = False,
        precision: Precision = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(weight, eps, step, iterations, attack_in_train_mode, precision, seed)
        if weighting not in ("equal", "jaccard"):
            raise ValueError(f"weighting={weighting!r}: expected 'equal' or 'jaccard'")
        self.weighting: Weighting = weighting

    @torch.no_grad()
    def centre(self, labels: Tensor) -> Tensor:
        """See :func:`centre_code`."""
        return centre_code(labels, binarize(self.memory.codes), self.memory.labels, self.weighting)
