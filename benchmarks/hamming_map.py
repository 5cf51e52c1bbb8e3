"""Exact MAP of Hamming retrieval: ours against one argsort per query, the algorithm of the published code.

Both run in one process, in turns. The database has the size of NUS-WIDE: 194,000 items, 21 classes, 32 bits.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

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


def timed(function: Callable[[], list[float]]) -> tuple[float, list[float]]:
    start = time.perf_counter()
    values = function()
    return time.perf_counter() - start, values


def run() -> dict[str, float | int | str]:
    """Return the speed-up per query (median of rounds) and what it was measured on."""
    data = make_data()
    query, label, codes, labels = (part.numpy().astype(np.float32) for part in data)

    def ours() -> list[float]:
        return average_precisions(*data).tolist()

    def theirs() -> list[float]:
        return [argsort_average_precision(query[q], label[q], codes, labels) for q in range(SUBSET)]

    ratios, our_times, their_times = [], [], []
    for _ in range(ROUNDS):
        (our_time, our_values), (their_time, their_values) = timed(ours), timed(theirs)
        our_times.append(our_time / QUERIES)
        their_times.append(their_time / SUBSET)
        ratios.append(their_times[-1] / our_times[-1])
    difference = max(abs(a - b) for a, b in zip(our_values[:SUBSET], their_values, strict=True))
    if difference > 0.005:  # their ties fall in some order, ours in all of them
        raise RuntimeError(f"average precisions differ by {difference}: the two do not compute the same thing")
    return {
        "name": "hamming map / per-query argsort",
        "ratio": round(statistics.median(ratios), 1),
        "ours_ms_per_query": round(1e3 * statistics.median(our_times), 4),
        "argsort_ms_per_query": round(1e3 * statistics.median(their_times), 3),
        "largest_ap_difference": round(difference, 6),
        "queries": QUERIES,
        "items": ITEMS,
        "bits": BITS,
        "classes": CLASSES,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count() or 0,
    }


if __name__ == "__main__":
    print(json.dumps(run()))
