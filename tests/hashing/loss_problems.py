"""Small problems that every hashing loss is tested on: some items with several classes, one with none."""

import torch

from lightning_modules.hashing.losses import TrainingFacts
from lightning_modules.types import Batch

BITS, ITEMS, CLASSES = 6, 9, 4


def make_problem(seed=0):
    """Return uint8 labels ``(N, C)`` and float64 codes ``(N, K)`` in (-1, 1)."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(ITEMS, CLASSES, generator=generator) < 0.4).to(torch.uint8)
    labels[0] = 0
    codes = torch.rand(ITEMS, BITS, generator=generator, dtype=torch.float64) * 2 - 1
    return labels, codes


def make_batch(index, labels):
    """Return the batch of the items ``index``; losses do not look at its pictures."""
    ids = tuple(str(i) for i in index.tolist())
    return Batch(torch.zeros(len(index), 3, 1, 1), labels[index], index, ids)


def set_up(loss, labels, bits=BITS):
    """Tell a loss about a training split with these labels."""
    loss.setup(TrainingFacts(labels, bits))
    return loss


def check_gradient(function, codes):
    """Compare the gradient of a function of float64 codes with finite differences."""
    assert torch.autograd.gradcheck(function, (codes.clone().requires_grad_(),))
