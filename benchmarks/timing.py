"""Timing in one process, in turns: a busy machine slows both sides of a ratio alike."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

PAUSE = 0.1  # seconds before each call of several threads: those of the other side spin for a while after their work


def clock() -> Callable[[], float]:
    """Return a clock for work on the CPU.

    For one thread it tells seconds of the processor, which others on a busy machine hardly lengthen; for several,
    seconds of the wall, since threads that wait for each other count as busy.
    """
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def interleave(
    functions: Sequence[Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[list[list[float]], list[Any]]:
    """Call functions in turns, after one round to warm up.

    Args:
        functions: what is compared.
        rounds: how often each is called.
        clock: tells seconds.

    Returns:
        the seconds of every call, per function, and what each function returned last.
    """
    seconds: list[list[float]] = [[] for _ in functions]
    results = [function() for function in functions]
    pause = PAUSE if torch.get_num_threads() > 1 else 0.0
    for turn in range(rounds):
        for offset in range(len(functions)):
            place = (turn + offset) % len(functions)  # every function comes first in turn
            time.sleep(pause)
            start = clock()
            results[place] = functions[place]()
            seconds[place].append(clock() - start)
    return seconds, results


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over the rounds of ``ours / theirs``."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def median_interval(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """95 % interval of :func:`median_ratio`: the rounds' order statistics, whatever their distribution."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    outside = max(0, math.floor((len(ratios) - 1.96 * math.sqrt(len(ratios))) / 2))
    return [round(ratios[outside], 3), round(ratios[-1 - outside], 3)]


def milliseconds(seconds: Sequence[float], per: int = 1) -> float:
    """Median in milliseconds, of one of ``per`` things that a call does."""
    return round(1e3 * statistics.median(seconds) / per, 4)


def machine() -> dict[str, int]:
    """Return what a figure was measured with."""
    return {"threads": torch.get_num_threads(), "cpus": os.cpu_count() or 0}
