"""A tiny network, a batch and a strategy that knows the items of the hashing tests."""

import torch

from lightning_modules.hashing import Backbone, HashEncoder
from lightning_modules.hashing.losses import TrainingFacts
from lightning_modules.types import Batch
from tests.hashing.loss_problems import BITS, ITEMS, make_problem


class Dropped(Backbone):
    """Pixels of a 2 x 2 picture, with dropout in train mode."""

    num_features = 12

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, inputs):
        return self.dropout(inputs.flatten(1))


def make_encoder():
    torch.manual_seed(0)
    return HashEncoder(Dropped(), BITS)


def make_batch(rows=range(ITEMS)):
    rows = torch.tensor(list(rows))
    images = torch.rand(ITEMS, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    return Batch(images[rows], make_problem()[0][rows], rows, tuple(f"item {i}" for i in rows.tolist()))


def set_up(strategy):
    """Tell a strategy about the split, with random codes in its memory."""
    labels, codes = make_problem()
    torch.manual_seed(0)
    strategy.setup(TrainingFacts(labels, BITS))
    strategy.memory.write(torch.arange(ITEMS), codes.flip(0))
    return strategy
