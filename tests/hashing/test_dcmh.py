"""The DCMH loss against Python loops over its formula, and the schedule of B."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_modules.hashing.losses import DCMHLoss, TrainingFacts
from lightning_modules.hashing.losses.dcmh import balance
from lightning_modules.types import Batch

ITEMS, BITS, CLASSES = 7, 4, 3


def make_batch(rows, labels):
    return Batch(torch.zeros(len(rows), 3, 1, 1), labels[rows], rows, tuple(str(row) for row in rows.tolist()))


def looped(f, g, all_f, all_g, b, labels, rows, gamma, eta):
    """Sum of the formula over the batch's own terms, divided by N and by the batch size; lists of floats only."""

    def one(own, own_memory, other_memory):
        total = 0.0
        for i, row in enumerate(rows):
            for j, other in enumerate(other_memory):
                theta = 0.5 * sum(x * y for x, y in zip(own[i], other, strict=True))
                similar = any(x and y for x, y in zip(labels[row], labels[j], strict=True))
                total -= similar * theta - math.log1p(math.exp(theta))
            total += gamma * sum((x - y) ** 2 for x, y in zip(b[row], own[i], strict=True))
        memory = [own[rows.index(j)] if j in rows else own_memory[j] for j in range(len(own_memory))]
        return total + eta * sum(sum(column) ** 2 for column in zip(*memory, strict=True))

    return (one(f, all_f, all_g) + one(g, all_g, all_f)) / (len(all_f) * len(rows))


@pytest.mark.parametrize("rows", [[3], [5, 0, 2]])
def test_loss_is_the_formula(rows):
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(ITEMS, CLASSES, generator=generator) < 0.4).to(torch.uint8)
    labels[0] = 0
    loss = DCMHLoss(gamma=0.7, eta=0.3)
    loss.setup(TrainingFacts(labels, BITS))
    everything = torch.arange(ITEMS)
    first = [torch.rand(ITEMS, BITS, generator=generator) * 2 - 1 for _ in range(2)]
    loss({"image": first[0], "text": first[1]}, make_batch(everything, labels))
    loss.end_epoch()
    f, g = (torch.rand(len(rows), BITS, generator=generator) * 2 - 1 for _ in range(2))
    value = loss({"image": f, "text": g}, make_batch(torch.tensor(rows), labels)).mean()
    memories = [memory.clone() for memory in first]
    for memory, new in zip(memories, (f, g), strict=True):
        memory[rows] = new
    b = [[1.0 if x >= 0 else -1.0 for x in row] for row in (first[0] + first[1]).tolist()]
    lists = [part.tolist() for part in (f, g, *memories)]
    assert value.item() == pytest.approx(looped(*lists, b, labels.tolist(), rows, 0.7, 0.3), rel=1e-5)


def test_codes_change_with_the_epoch_only():
    labels = torch.eye(3, dtype=torch.uint8)
    loss = DCMHLoss()
    loss.setup(TrainingFacts(labels, 2))
    assert loss.codes.tolist() == [[1, 1]] * 3
    codes = torch.tensor([[0.5, -0.5], [0.2, 0.2], [-0.1, 0.9]])
    loss({"image": codes, "text": -2 * codes}, make_batch(torch.arange(3), labels))
    assert loss.codes.tolist() == [[1, 1]] * 3
    loss.end_epoch()
    assert loss.codes.tolist() == [[-1, 1], [-1, -1], [1, -1]]


def test_gradient_of_the_balance():
    generator = torch.Generator().manual_seed(1)
    memory = torch.rand(6, 3, dtype=torch.float64, generator=generator)
    codes = torch.rand(2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u: balance(u, memory, torch.tensor([4, 1])), codes)
