"""The rule for ties, and its mathematics: items at one distance have no order of their own.

expected    the mean over all orders of the tied items, in closed form from the groups below; the default
index       tied items rank by their place in the database, see ``ranking.py``
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_modules.retrieval.metrics.histograms import DistanceHistograms

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Ties = Literal["expected", "index"]


def check_ties(ties: str) -> None:
    """Check the name of a rule for ties.

    Raises:
        ValueError: on another rule than ``expected`` and ``index``.
    """
    if ties not in ("expected", "index"):
        raise ValueError(f"ties must be expected or index, got {ties!r}")


@dataclass(frozen=True)
class TieGroups:
    """The tie groups of each query, nearest first.

    Attributes:
        size: int64 ``(Q, G)``, items n of the group.
        relevant: int64 ``(Q, G)``, relevant items r of the group.
        items_before: int64 ``(Q, G)``, items N that rank before the group.
        hits_before: int64 ``(Q, G)``, relevant items R that rank before the group.
        harmonic: float64 ``(2, items + 1)``, harmonic numbers from H(0) on, and their rounding errors.
    """

    size: Counts
    relevant: Counts
    items_before: Counts
    hits_before: Counts
    harmonic: Floats

    @classmethod
    def from_histograms(cls, histograms: DistanceHistograms) -> TieGroups:
        """Build the groups from counts by distance over the whole database."""
        size, relevant = histograms.total.numpy(), histograms.relevant.numpy()
        items, hits = size.cumsum(axis=1), relevant.cumsum(axis=1)
        return cls(size, relevant, items - size, hits - relevant, harmonic_numbers(int(items.max(initial=0))))

    @property
    def num_items(self) -> int:
        """Number of items in the database."""
        return self.harmonic.shape[1] - 1

    @property
    def num_relevant(self) -> Counts:
        """Number of relevant items of each query, int64 ``(Q,)``."""
        return self.relevant.sum(axis=1)

    def at(self, query: int, column: int) -> tuple[int, int, int, int]:
        """Return size, relevant, items before and hits before of one group."""
        size, relevant = self.size[query, column], self.relevant[query, column]
        items, hits = self.items_before[query, column], self.hits_before[query, column]
        return int(size), int(relevant), int(items), int(hits)

    def precision_sums(self) -> Floats:
        """Expected sum of precisions at the relevant items of each group, float64 ``(Q, G)``."""
        return self.precision_sum(self.size, self.relevant, self.items_before, self.hits_before)

    def precision_sum(self, size: Any, relevant: Any, items_before: Any, hits_before: Any) -> Floats:
        """Expected sum of precisions at r relevant among n items in random order, after R among N.

        McSherry and Najork (2008), section 3: the sum over i = 1..n of
        ``r/n (R + 1 + (i - 1)(r - 1)/(n - 1)) / (N + i)``, here without the loop, since
        ``sum 1/(N + i) = H(N + n) - H(N)`` and ``(i - 1)/(N + i) = 1 - (N + 1)/(N + i)``.

        Args:
            size: n, integer array or number; all arguments broadcast.
            relevant: r, 0 <= r <= n.
            items_before: N.
            hits_before: R.
        """
        upper, lower = items_before + size, items_before
        high, low = self.harmonic
        reciprocals = (high[upper] - high[lower]) + (low[upper] - low[lower])
        spread = size - (items_before + 1) * reciprocals
        slope = (relevant - 1) / np.maximum(size - 1, 1)
        return relevant / np.maximum(size, 1) * ((hits_before + 1) * reciprocals + slope * spread)


def harmonic_numbers(count: int) -> Floats:
    """Harmonic numbers H(0)..H(count) with the errors of their summation.

    Their differences, times numbers as large as the database, are subtracted from numbers as small as 1;
    plain float64 sums would leave six digits of that.

    Returns:
        float64 ``(2, count + 1)``: sums, and what rounding took from them (Knuth's exact addition).
    """
    terms = 1.0 / np.arange(1, count + 1)
    sums = np.concatenate([[0.0], terms.cumsum()])
    before, after = sums[:-1], sums[1:]
    added = after - before
    errors = (before - (after - added)) + (terms - added)
    return np.stack([sums, np.concatenate([[0.0], errors.cumsum()])])


def hit_count(size: int, relevant: int, draws: int) -> tuple[Counts, Floats]:
    """Distribution of the number of relevant items among the first ones of a group (hypergeometric).

    Args:
        size: items n of the group.
        relevant: relevant items r of the group.
        draws: number m of first items, 0 <= m <= n.

    Returns:
        The numbers that can be expected, int64 ascending, and their probabilities, float64.
    """
    mean = draws * relevant / size
    variance = mean * (size - relevant) / size * (size - draws) / max(size - 1, 1)
    count = _window(mean, variance, max(0, draws - (size - relevant)), min(draws, relevant))
    h = count[:-1].astype(np.float64)
    ratios = (relevant - h) * (draws - h) / ((h + 1) * (size - relevant - draws + h + 1))
    return count, _probabilities(ratios)


def hit_position(size: int, relevant: int, hit: int) -> tuple[Counts, Floats]:
    """Distribution of the position of one of the relevant items of a group (negative hypergeometric).

    Args:
        size: items n of the group.
        relevant: relevant items r of the group.
        hit: which of them, 1 <= hit <= r, in order of rank.

    Returns:
        The positions in the group, counted from 1, that can be expected, int64 ascending, and their
        probabilities, float64.
    """
    mean = hit * (size + 1) / (relevant + 1)
    variance = mean * (size - relevant) * (relevant + 1 - hit) / ((relevant + 1) * (relevant + 2))
    position = _window(mean, variance, hit, size - (relevant - hit))
    s = position[:-1].astype(np.float64)
    ratios = s / (s - hit + 1) * (size - s - (relevant - hit)) / (size - s)
    return position, _probabilities(ratios)


def _window(mean: float, variance: float, lowest: int, highest: int) -> Counts:
    """Return the values from lowest to highest that are not out of reach: beyond, less than 1e-16 is left."""
    reach = 40 * math.sqrt(variance) + 40
    return np.arange(max(lowest, math.floor(mean - reach)), min(highest, math.ceil(mean + reach)) + 1)


def _probabilities(ratios: Floats) -> Floats:
    """Turn the ratios of successive probabilities into probabilities, without overflow."""
    logs = np.concatenate([[0.0], np.log(ratios).cumsum()])
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())
