"""How sure we are of a mean average precision: percentile bootstrap intervals over queries.

The queries are the sample, the database is fixed: the interval says how the mean would move with other
queries of the same kind, not with another database, another hash model or another seed of the attack.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 2_000_000
"""Resampled values held in memory at a time."""


def _resampled_means(values: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """Return the means of ``resamples`` samples with replacement; the chunking does not change them."""
    generator = np.random.default_rng(seed)
    means = np.empty(resamples, np.float64)
    step = max(1, CHUNK // len(values))
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        rows = generator.integers(0, len(values), size=(stop - start, len(values)))
        means[start:stop] = values[rows].mean(axis=1)
    return means


def _as_sample(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return ``values`` as float64 ``(Q,)``; raise where they are empty, not flat or not finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"{name} must have the shape (Q,) with Q > 0, got {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError(f"{name} must be finite, got {int((~np.isfinite(sample)).sum())} values that are not")
    return sample


def bootstrap_interval(
    values: ArrayLike, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean of ``values``.

    Args:
        values: float64 ``(Q,)``, one average precision in [0, 1] per query (any finite reals work). One query
            alone yields an interval without width.
        seed: of the resampling; equal seeds give equal intervals.
        resamples: samples drawn with replacement, >= 1.
        level: share of resampled means inside the interval, in (0, 1).

    Returns:
        ``(low, high)`` with ``min(values) <= low <= high <= max(values)``.
    """
    sample = _as_sample(values, "values")
    if resamples < 1:
        raise ValueError(f"resamples must be >= 1, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level}")
    tail = (1 - level) / 2
    low, high = np.quantile(_resampled_means(sample, seed, resamples), [tail, 1 - tail])
    low, high = np.clip([low, high], sample.min(), sample.max())
    return float(low), float(high)


def paired_difference_interval(
    first: ArrayLike, second: ArrayLike, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of ``mean(first) - mean(second)`` over the same queries.

    Each query stays with itself in every resample, so what makes a query hard for both cancels; an interval
    that excludes 0 says that one of the two is better on queries of this kind.

    Args:
        first: float64 ``(Q,)``, per-query average precisions of one system.
        second: float64 ``(Q,)``, of the other system, the same queries in the same order.
        seed: of the resampling.
        resamples: samples drawn with replacement, >= 1.
        level: share of resampled differences inside the interval, in (0, 1).

    Returns:
        ``(low, high)``, of ``first - second``.
    """
    left, right = _as_sample(first, "first"), _as_sample(second, "second")
    if left.shape != right.shape:
        raise ValueError(f"a paired difference needs the same queries twice, got {len(left)} and {len(right)}")
    return bootstrap_interval(left - right, seed, resamples, level)
