"""An iteration of P2P / DHTA against a bare forward pass and input gradient of the same frozen encoder.

The encoder is the ResNet of ``configs/tuned/small-resnet.yaml``; 64 pictures of 32 px.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import interleave, machine, median_ratio, milliseconds
from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.hashing import TimmBackbone
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.types import AttackGoal, binarize

TARGET = 1.05
BATCH, SIDE, BITS = 64, 32, 32
ITERATIONS = 5  # per call of the attack
ROUNDS = 31


def run() -> list[dict[str, Any]]:
    """Return the time of an iteration over that of forward pass and input gradient."""
    torch.manual_seed(0)
    layers = {"layers": [1, 1, 1, 1], "channels": [32, 64, 128, 256]}
    encoder = HashEncoder(TimmBackbone("resnet18", small_input=True, model_args=layers), BITS)
    encoder.eval().requires_grad_(False)
    images = torch.rand(BATCH, 3, SIDE, SIDE)
    goal = AttackGoal(torch.zeros(BATCH, 1, dtype=torch.uint8), binarize(torch.randn(BATCH, BITS)))
    attack = IterativeCodeAttack(num_items=1, iterations=ITERATIONS)

    def bare() -> Tensor:
        for _ in range(ITERATIONS):
            inputs = images.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(encoder(inputs).sum(), inputs)
        return gradient

    def ours() -> Tensor:
        return attack(images, goal, encoder)

    (bare_times, our_times), _ = interleave([bare, ours], ROUNDS)
    return [
        {
            "name": "attack iteration / forward + input gradient",
            "ratio": round(median_ratio(our_times, bare_times), 4),
            "target": TARGET,
            "iteration_ms": milliseconds(our_times, ITERATIONS),
            "bare_ms": milliseconds(bare_times, ITERATIONS),
            "batch": BATCH,
            "side": SIDE,
            **machine(),
        }
    ]


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure))
