"""An iteration of every gradient attack against bare forward passes and the input gradient of the same frozen encoder.

The encoder is the ResNet of ``configs/tuned/small-resnet.yaml``; 32 pictures of 32 px; an attacker who knows 5,000
items of ten classes with random codes, more different ones than a trained hasher has. NAG looks at two copies of each
picture, so that it is measured against twice the work. What HAG and SDHA do once, before the first iteration, is timed
too, against the same work: one forward pass more. Attacks are measured one after the other, each in turns with its bare
work, and each figure comes as soon as it is known: about six minutes in all (``--attacks NAME ...`` and
``--rounds`` for fewer and longer ones). One thread, whose processor seconds are counted: seconds of the wall of several
threads scatter by more than the margin on all but idle machines.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import clock, interleave, machine, median_interval, median_ratio, milliseconds
from lightning_modules.attacks import HAGAttack, IterativeCodeAttack, MainstayAttack, NAGAttack, SDHAAttack
from lightning_modules.attacks.descent import GradientAttack
from lightning_modules.hashing import TimmBackbone
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.retrieval.metrics.histograms import one_thread_each
from lightning_modules.types import CodeBook, binarize

TARGET = 1.05
BATCH, SIDE, BITS = 32, 32, 32  # the default of the loaders
ITEMS, CLASSES = 5_000, 10
ITERATIONS = 4  # per call of an attack; what it does once, before them, counts a quarter
ROUNDS = 31
# With the forward passes of an iteration, and those before the first one.
ATTACKS: dict[str, tuple[GradientAttack, int, int]] = {
    "P2P and DHTA": (IterativeCodeAttack(num_items=9, iterations=ITERATIONS), 1, 0),
    "mainstay": (MainstayAttack(iterations=ITERATIONS), 1, 0),
    "HAG": (HAGAttack(iterations=ITERATIONS), 1, 1),
    "SDHA": (SDHAAttack(iterations=ITERATIONS), 1, 0),
    "SDHA untargeted": (SDHAAttack(targeted=False, iterations=ITERATIONS), 1, 1),
    "NAG": (NAGAttack(iterations=ITERATIONS), 2, 0),
    "NAG with momentum and diversity": (NAGAttack(iterations=ITERATIONS, momentum=1.0, diversity=0.5), 2, 0),
}


def make_encoder() -> HashEncoder:
    """The encoder with random weights, frozen."""
    layers = {"layers": [1, 1, 1, 1], "channels": [32, 64, 128, 256]}
    encoder = HashEncoder(TimmBackbone("resnet18", small_input=True, model_args=layers), BITS)
    return encoder.eval().requires_grad_(False)


def make_book() -> CodeBook:
    """Random codes of items of one class each."""
    labels = torch.eye(CLASSES, dtype=torch.uint8)[torch.randint(CLASSES, (ITEMS,))]
    return CodeBook(binarize(torch.randn(ITEMS, BITS)), labels, tuple(map(str, range(ITEMS))))


def bare(encoder: HashEncoder, images: Tensor, passes: int, before: int) -> Callable[[], Tensor]:
    """Return the work that an attack cannot avoid."""

    def run() -> Tensor:
        for _ in range(before):
            with torch.no_grad():
                encoder(images)
        for _ in range(ITERATIONS):
            inputs = images.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(sum(encoder(inputs).sum() for _ in range(passes)), inputs)
        return gradient

    return run


def run(names: Iterable[str] = ATTACKS, rounds: int = ROUNDS, batch: int = BATCH) -> Iterator[dict[str, Any]]:
    """Yield, per attack, the time of an iteration over that of forward pass and input gradient."""
    torch.manual_seed(0)
    encoder, images, book = make_encoder(), torch.rand(batch, 3, SIDE, SIDE), make_book()
    for name in names:
        yield {
            "name": f"attack iteration / forward + input gradient, {name}",
            **measure(name, encoder, images, book, rounds),
        }


def measure(name: str, encoder: HashEncoder, images: Tensor, book: CodeBook, rounds: int) -> dict[str, Any]:
    """Measure one attack in turns with its bare work."""
    attack, passes, before = ATTACKS[name]
    ids = tuple(f"query {number}" for number in range(len(images)))
    goal = attack.aim(book.labels[: len(images)], ids, book, seed=0)

    def ours() -> Tensor:
        return attack(images, goal, encoder)

    with one_thread_each():  # whose processor seconds can be counted
        (bare_times, our_times), _ = interleave([bare(encoder, images, passes, before), ours], rounds, clock())
        conditions = machine()
    return {
        "ratio": round(median_ratio(our_times, bare_times), 4),
        "interval": median_interval(our_times, bare_times),
        "target": TARGET,
        "iteration_ms": milliseconds(our_times, ITERATIONS),
        "bare_ms": milliseconds(bare_times, ITERATIONS),
        "batch": len(images),
        "side": SIDE,
        **conditions,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--batch", type=int, default=BATCH)
    options = parser.parse_args()
    for figure in run(options.attacks, options.rounds, options.batch):
        print(json.dumps(figure), flush=True)
