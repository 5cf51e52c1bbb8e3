"""A victim whose gradient is known, u = tanh(alpha * W x), and pictures to attack it with."""

import torch
from torch import nn

from lightning_modules.types import AttackGoal, CodeBook

BITS, SIDE = 6, 4
PIXELS = 3 * SIDE * SIDE


class LinearVictim(nn.Module):
    def __init__(self, scale=0.3):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(BITS, PIXELS, generator=generator) * scale)
        self.dropout = nn.Dropout(0.5)
        self.seen = []

    def forward(self, images, alpha=1.0):
        self.seen.append((alpha, self.weight.requires_grad, self.training))
        return torch.tanh(alpha * self.dropout(images.flatten(1)) @ self.weight.T)


def make_problem(count=5, low=0.2, high=0.8, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = low + (high - low) * torch.rand(count, 3, SIDE, SIDE, generator=generator)
    code = torch.randint(2, (count, BITS), generator=generator, dtype=torch.int8) * 2 - 1
    return images, AttackGoal(torch.ones(count, 1, dtype=torch.uint8), code)


def part(goal, rows):
    return AttackGoal(goal.label[rows], goal.code[rows])


def objective(victim, images, goal, alpha=1.0):
    with torch.no_grad():
        return -(victim(images, alpha) * goal.code).mean(1)


def make_book(items=40, classes=4, bits=BITS, seed=3):
    """Items with random codes and labels; each class has items of its own."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(2, (items, bits), generator=generator, dtype=torch.int8) * 2 - 1
    labels = (torch.rand(items, classes, generator=generator) < 0.4).to(torch.uint8)
    labels[torch.arange(items), torch.arange(items) % classes] = 1
    return CodeBook(codes, labels, tuple(f"item-{i}" for i in range(items)))
