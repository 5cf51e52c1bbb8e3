"""Hamming search and MAP over ten thousand to ten million codes: time per query, memory, and what 10^9 would take.

    OMP_NUM_THREADS=1 python -m benchmarks.ten_million [SVG]

Codes are generated part by part. Search keeps them packed, 4 bytes an item; MAP keeps nothing of a part but the
histograms of its distances, which add up. Times are those of the processor, so that a busy machine hardly shows.
Memory is the largest resident size that the process has had so far, over that before the first code.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import machine
from lightning_modules.retrieval.metrics import (
    average_precisions,
    distance_histograms,
    expected_average_precisions,
    pack_codes,
    top_n,
)
from lightning_modules.retrieval.metrics.packing import PackedBits
from lightning_modules.retrieval.metrics.ranking import nearest

SIZES = {10**4: 3, 10**5: 3, 10**6: 2, 10**7: 1}  # and rounds of each
SMALLEST = min(SIZES)
PAPER = 10**9
SEARCHES, QUERIES, BITS, CLASSES, DEPTH = 50, 1000, 32, 21, 100
PART = 1 << 18  # items generated and counted at once


def make_items(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Multi-hot labels of one or two classes, and codes near that of the first; two bits in eight are random."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (CLASSES, BITS))
    classes = rng.integers(0, CLASSES, (count, 2))
    labels = np.zeros((count, CLASSES), np.uint8)
    np.put_along_axis(labels, classes, 1, axis=1)
    random = rng.bytes(count * BITS)
    noise = np.frombuffer(random, np.uint8).reshape(count, BITS)
    codes = np.where(noise < 32, np.int8(-1), np.int8(1)) * centres[classes[:, 0]]
    return torch.from_numpy(codes), torch.from_numpy(labels)


def parts(size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Generate a database of ``size`` items part by part; a larger one begins with the parts of a smaller one."""
    for number, start in enumerate(range(0, size, PART)):
        codes, labels = make_items(PART, seed=2 + number)
        yield codes[: size - start], labels[: size - start]


def pack_database(size: int) -> PackedBits:
    """Return packed codes of a generated database."""
    words = np.empty((1, size), np.uint32)
    for start, (codes, _) in zip(range(0, size, PART), parts(size), strict=True):
        words[:, start : start + len(codes)] = pack_codes(codes).words
    return PackedBits(words, BITS)


def time_search(queries: Tensor, size: int) -> list[float]:
    """Seconds of finding the nearest items of all queries, per round."""
    database, packed = pack_database(size), pack_codes(queries)
    if size == SMALLEST:
        _agree(nearest(packed, database, DEPTH)[0], _sorted(queries, next(parts(size))[0]))
    seconds = []
    for _ in range(SIZES[size]):
        start = time.process_time()
        nearest(packed, database, DEPTH)
        seconds.append(time.process_time() - start)
    return seconds


def time_map(queries: Tensor, labels: Tensor, size: int) -> list[float]:
    """Seconds of the average precisions of all queries over a database that comes in parts, per round."""
    seconds = []
    for _ in range(SIZES[size]):
        total, taken = None, 0.0
        for codes, classes in parts(size):
            start = time.process_time()
            found = distance_histograms(queries, labels, codes, classes)
            total = found if total is None else total + found
            taken += time.process_time() - start
        start = time.process_time()
        values = expected_average_precisions(total)
        seconds.append(taken + time.process_time() - start)
    if size == SMALLEST:
        codes, classes = next(parts(size))
        slices = zip(codes.split(3000), classes.split(3000), strict=True)
        found = functools.reduce(operator.add, (distance_histograms(queries, labels, *part) for part in slices))
        _agree(expected_average_precisions(found), average_precisions(queries, labels, codes, classes))
        _agree(values, average_precisions(queries, labels, codes, classes))
    return seconds


def _sorted(queries: Tensor, codes: Tensor) -> np.ndarray:
    distances = (BITS - queries.numpy().astype(np.int32) @ codes.numpy().astype(np.int32).T) // 2
    return distances.argsort(axis=1, kind="stable")[:, :DEPTH]


def _agree(found: Any, expected: Any) -> None:
    if not np.array_equal(np.asarray(found), np.asarray(expected)):
        raise RuntimeError("two ways to the same result differ")


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def run() -> Iterator[dict[str, Any]]:
    """Yield one figure per size, then what a straight line through the last two says of 10^9 items."""
    queries, labels = make_items(QUERIES, seed=1)
    average_precisions(queries, labels, *make_items(1000, seed=0))  # what is allocated once for good
    top_n(queries, queries, 1)
    before, figures = _peak(), []
    for size in SIZES:
        search, score = time_search(queries[:SEARCHES], size), time_map(queries, labels, size)
        figures.append(
            {
                "items": size,
                "search_ms_per_query": 1e3 * statistics.median(search) / SEARCHES,
                "map_ms_per_query": 1e3 * statistics.median(score) / QUERIES,
                "mib": (_peak() - before) / 2**20,
            }
        )
        yield {**figures[-1], "bits": BITS, "classes": CLASSES, "searches": SEARCHES, "queries": QUERIES, **machine()}
    first, last = figures[-2:]
    steps = (PAPER - last["items"]) / (last["items"] - first["items"])
    yield {name: last[name] + steps * (last[name] - first[name]) for name in last} | {"extrapolated": True}


def draw(figures: list[dict[str, Any]]) -> str:
    """Draw milliseconds per query and memory against the number of items, both axes logarithmic, as an SVG."""
    lines = {"search_ms_per_query": "search, ms", "map_ms_per_query": "MAP, ms", "mib": "memory, MiB"}
    colours, width, height, left, top = ("#1f77b4", "#d95f02", "#6a3d9a"), 420, 260, 60, 20
    most = math.ceil(math.log10(max(figure[name] for figure in figures for name in lines)))
    least = math.floor(math.log10(min(max(figure[name], 1e-3) for figure in figures for name in lines)))
    powers = [math.log10(figure["items"]) for figure in figures]

    def x(power: float) -> float:
        return left + width * (power - powers[0]) / (powers[-1] - powers[0])

    def y(value: float) -> float:
        return top + height * (most - max(math.log10(max(value, 1e-9)), least)) / (most - least)

    marks = []
    for power in range(least, most + 1):
        marks.append(f'<path d="M{left} {y(10.0**power):.1f}h{width}" stroke="#ccc"/>')
        marks.append(f'<text x="{left - 6}" y="{y(10.0**power) + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for power in powers:
        marks.append(f'<text x="{x(power):.1f}" y="{top + height + 18}" text-anchor="middle">10^{power:g}</text>')
    for place, (name, title) in enumerate(lines.items()):
        points = " ".join(f"{x(power):.1f},{y(one[name]):.1f}" for power, one in zip(powers, figures, strict=True))
        marks.append(f'<polyline points="{points}" fill="none" stroke="{colours[place]}" stroke-width="2"/>')
        marks.append(f'<text x="{left + 10}" y="{top + 16 + 16 * place}" fill="{colours[place]}">{title}</text>')
    style = "font-family:sans-serif;font-size:12px;background:#fff"
    size = f"0 0 {left + width + 20} {top + height + 30}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" style="{style}">\n' + "\n".join(marks) + "\n</svg>\n"
    )


if __name__ == "__main__":
    measured = []
    for figure in run():
        print(json.dumps({name: round(v, 3) if isinstance(v, float) else v for name, v in figure.items()}), flush=True)
        measured.append(figure)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(draw(measured[:-1]), encoding="utf-8")
