"""Exact MAP of Hamming retrieval: ours against one argsort per query, the algorithm of the published code.

Both run in one process, in turns. The database has the size of NUS-WIDE: 194,000 items, 21 classes, 32 bits.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import clock, interleave, machine, median_ratio, milliseconds
from lightning_modules.retrieval.metrics import average_precisions

QUERIES, ITEMS, BITS, CLASSES = 2_000, 194_000, 32, 21
SUBSET = 20  # queries timed with argsort
ROUNDS = 5


def make_data(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random multi-hot labels, and codes that lie near the code of one of their classes."""
    rng = np.random.default_rng(seed)
    centres = rng.choice([-1, 1], (CLASSES, BITS))
    parts = []
    for count in (QUERIES, ITEMS):
        labels = rng.random((count, CLASSES)) < 0.08
        labels[np.arange(count), rng.integers(0, CLASSES, count)] = True
        flips = np.where(rng.random((count, BITS)) < 0.25, -1, 1)
        parts += [centres[labels.argmax(axis=1)] * flips, labels]
    return tuple(torch.from_numpy(part.astype(dtype)) for part, dtype in zip(parts, ("i1", "u1") * 2, strict=True))


def argsort_average_precision(query: np.ndarray, label: np.ndarray, codes: np.ndarray, labels: np.ndarray) -> float:
    """Average precision of one query: distances by a product, argsort, gather, cumulative precision."""
    relevant = (label @ labels.T > 0).astype(np.float32)
    relevant = relevant[np.argsort(0.5 * (BITS - query @ codes.T))]
    ranks = np.flatnonzero(relevant) + 1.0
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def run() -> list[dict[str, Any]]:
    """Return the speed-up per query (median of rounds) and what it was measured on."""
    data = make_data()
    query, label, codes, labels = (part.numpy().astype(np.float32) for part in data)

    def ours() -> list[float]:
        return average_precisions(*data).tolist()

    def theirs() -> list[float]:
        return [argsort_average_precision(query[q], label[q], codes, labels) for q in range(SUBSET)]

    (our_times, their_times), (our_values, their_values) = interleave([ours, theirs], ROUNDS, clock())
    difference = max(abs(a - b) for a, b in zip(our_values[:SUBSET], their_values, strict=True))
    if difference > 0.005:  # their ties fall in some order, ours in all of them
        raise RuntimeError(f"average precisions differ by {difference}: the two do not compute the same thing")
    return [
        {
            "name": "hamming map / per-query argsort",
            "ratio": round(median_ratio(their_times, our_times) * QUERIES / SUBSET, 1),
            "ours_ms_per_query": milliseconds(our_times, QUERIES),
            "argsort_ms_per_query": milliseconds(their_times, SUBSET),
            "largest_ap_difference": round(difference, 6),
            "queries": QUERIES,
            "items": ITEMS,
            "bits": BITS,
            "classes": CLASSES,
            **machine(),
        }
    ]


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure))
