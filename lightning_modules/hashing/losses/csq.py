"""CSQ: central similarity quantisation (Yuan et al., CVPR 2020, arXiv 1908.00347)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.losses.centres import centre_of_items, hash_centres
from lightning_modules.types import Batch


def central_similarity(logits: Tensor, centres: Tensor) -> Tensor:
    """Binary cross-entropy between ``(tanh(logits) + 1) / 2`` and ``(centre + 1) / 2``, the mean over bits.

    Since ``(tanh(x) + 1) / 2 = sigmoid(2x)`` it is taken from the logits and stays finite when codes saturate.

    Args:
        logits: float ``(B, K)`` before the tanh.
        centres: float ``(B, K)`` in {-1, +1}.

    Returns:
        float ``(B,)``.
    """
    return F.binary_cross_entropy_with_logits(2 * logits, (centres + 1) / 2, reduction="none").mean(dim=1)


class CSQLoss(HashingLoss):
    """CSQ: codes are drawn to the centre of their class, or to the vote of the centres of their classes.

    An item without any class has no centre: only its quantisation counts.

    Args:
        quantisation: weight of ``mean (|u| - 1)^2``, which stands for the paper's log cosh in public code: 1e-4 in the
            attack literature, 0.05 in the authors' options.
        seed: of random centres and of the bits that break ties.
    """

    centres: Tensor
    tie_break: Tensor

    def __init__(self, quantisation: float = 1e-4, seed: int = 0) -> None:
        super().__init__()
        self.quantisation, self.seed = quantisation, seed

    def setup(self, facts: TrainingFacts) -> None:
        """Choose the centres."""
        self.register_buffer("centres", hash_centres(facts.labels.shape[1], facts.num_bits, self.seed))
        generator = torch.Generator().manual_seed(self.seed)
        self.register_buffer("tie_break", torch.randint(2, (facts.num_bits,), generator=generator).float() * 2 - 1)

    def relax(self, logits: Tensor, step: int) -> Tensor:
        """Keep the logits; see :func:`central_similarity`."""
        del step
        return logits

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; uses the image logits."""
        logits = codes["image"].float()
        similarity = central_similarity(logits, centre_of_items(batch.label, self.centres, self.tie_break))
        distance_to_binary = (logits.tanh().abs() - 1).square().mean(dim=1)
        return batch.label.any(dim=1) * similarity + self.quantisation * distance_to_binary
