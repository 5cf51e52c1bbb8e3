"""UCCH: unsupervised contrastive cross-modal hashing (Hu et al., TPAMI 2023); constants as in its code."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.types import Batch, binarize


def contrastive(codes: Tensor, memory: Tensor, index: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of an item's own binary code against those of other items, one value per sample.

    Args:
        codes: float ``(b, K)`` of length 1.
        memory: codes in {-1, +1}, float ``(N, K)``.
        index: int64 ``(b,)``, the row of each sample.
        negatives: int64 ``(b, n)``, rows that it is told apart from.
        temperature: divides inner products, times ``sqrt(K)``, the length of a binary code.

    Returns:
        float ``(b,)``.
    """
    scores = codes @ memory.T / (temperature * math.sqrt(codes.shape[1]))
    chosen = scores.gather(1, torch.cat([index[:, None], negatives], dim=1))
    return F.cross_entropy(chosen, torch.zeros_like(index), reduction="none")


def ranking(image: Tensor, text: Tensor, margin: float, shift: float) -> Tensor:
    """Cross-modal ranking loss, one value per sample.

    The sum of both directions of ``-s_ii + log sum_j exp(s_ij - shift [s_ij < s_ii - margin]) + margin``: pairs that
    are farther than the margin below the matching one are shifted out of the way.

    Args:
        image: codes ``(b, K)`` of length 1.
        text: codes ``(b, K)`` of length 1.
        margin: of the cosine.
        shift: of easy negatives.

    Returns:
        float ``(b,)``.
    """
    values = torch.zeros(len(image), device=image.device, dtype=image.dtype)
    cosines = image @ text.T
    for scores in (cosines, cosines.T):
        own = scores.diagonal()
        shifted = scores - shift * (scores < own[:, None] - margin).to(scores)
        values = values + shifted.logsumexp(dim=1) - own + margin
    return values


class UCCH(HashingLoss):
    """Contrast with a memory of binary codes that both modalities share, and a cross-modal ranking.

    ``alpha L_contrast + (1 - alpha) L_rank`` on codes ``tanh(.) / ||tanh(.)||``. The memory of an item is a running
    mean of its codes of both modalities; its sign is what codes are compared with, so that a step sees binary codes
    and gradients stay those of real ones. In the first epochs a batch is contrasted with itself.

    Args:
        alpha: weight of the contrast.
        temperature: of the softmax.
        momentum: of the memory.
        negatives: rows drawn for every sample, with repetition.
        margin: of the ranking.
        shift: of easy negatives in the ranking.
        warmup_epochs: epochs in which the memory is only written.

    Raises:
        ValueError: a weight outside [0, 1], or a count or temperature that is not positive.
    """

    memory: Tensor
    epoch: Tensor

    def __init__(
        self,
        alpha: float = 0.9,
        temperature: float = 0.9,
        momentum: float = 0.4,
        negatives: int = 4096,
        margin: float = 0.2,
        shift: float = 1.0,
        warmup_epochs: int = 1,
    ) -> None:
        super().__init__()
        for name, value in (("alpha", alpha), ("momentum", momentum)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value}: expected a weight in [0, 1]")
        if not temperature > 0 or negatives < 1:
            raise ValueError(f"temperature={temperature}, negatives={negatives}: expected positive numbers")
        self.alpha, self.temperature, self.momentum, self.negatives = alpha, temperature, momentum, negatives
        self.margin, self.shift, self.warmup_epochs = margin, shift, warmup_epochs

    def setup(self, facts: TrainingFacts) -> None:
        """Create the memory, of random signs."""
        signs = binarize(torch.randn(len(facts.labels), facts.num_bits)).float()
        self.register_buffer("memory", F.normalize(signs, dim=1))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def end_epoch(self) -> None:
        """Count epochs, for the warm-up."""
        self.epoch += 1

    def relax(self, logits: Tensor, step: int) -> Tensor:
        """Return ``tanh(logits)`` of length 1."""
        del step
        return F.normalize(torch.tanh(logits), dim=1)

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; needs image and text codes."""
        image, text = codes["image"].float(), codes["text"].float()
        warm = int(self.epoch) < self.warmup_epochs
        means = ((image + text) / 2).detach()
        if warm:
            signs, index = binarize(means).float(), torch.arange(len(batch), device=image.device)
            negatives = _others(len(batch), image.device)
        else:
            signs, index = binarize(self.memory).float(), batch.index
            negatives = torch.randint(len(signs), (len(batch), self.negatives), device=image.device)
        contrast = sum(contrastive(one, signs, index, negatives, self.temperature) for one in (image, text))
        self._write(batch.index, means, 0.0 if warm else self.momentum)
        return self.alpha * contrast + (1 - self.alpha) * ranking(image, text, self.margin, self.shift)

    @torch.no_grad()
    def _write(self, index: Tensor, means: Tensor, momentum: float) -> None:
        kept = momentum * self.memory[index] + (1 - momentum) * F.normalize(means, dim=1)
        self.memory[index] = F.normalize(kept, dim=1)


def _others(count: int, device: torch.device) -> Tensor:
    """Return for each of ``count`` rows all the others, int64 ``(count, count - 1)``."""
    rows = torch.arange(count, device=device)
    return (rows[:, None] + rows[None, 1:]) % count
