"""Precision after N items, within a Hamming radius, and the precision-recall curve over radii."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.retrieval.metrics.average_precision import Empty, apply_empty_policy, mean_score
from lightning_modules.retrieval.metrics.histograms import DistanceHistograms
from lightning_modules.retrieval.metrics.ties import TieGroups

Unretrieved = Literal["zero", "skip"]


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall by Hamming radius, each averaged over queries.

    Attributes:
        precision: float64 ``(K + 1,)`` in [0, 1] for the radii 0..K.
        recall: float64 ``(K + 1,)`` in [0, 1], ascending to 1.
    """

    precision: Tensor
    recall: Tensor


def check_unretrieved(unretrieved: str) -> None:
    """Check the name of a policy for radii that hold no item.

    Raises:
        ValueError: on another policy than ``zero`` and ``skip``.
    """
    if unretrieved not in ("zero", "skip"):
        raise ValueError(f"unretrieved must be zero or skip, got {unretrieved!r}")


def expected_precisions(histograms: DistanceHistograms, n: int) -> Tensor:
    """Precision of the first n ranks, expected over all orders of the items within each distance.

    Args:
        histograms: counts by distance, of the whole database.
        n: number of ranks, >= 1; a smaller database is taken whole, and its size divides.

    Returns:
        float64 ``(Q,)`` in [0, 1]; NaN for a query without relevant items in the database.

    Raises:
        ValueError: if n is below 1 or the database is empty.
    """
    groups = TieGroups.from_histograms(histograms)
    n = _cut(n, groups.num_items)
    taken = np.clip(n - groups.items_before, 0, groups.size)
    hits = (groups.relevant * (taken / np.maximum(groups.size, 1))).sum(axis=1)
    return torch.from_numpy(np.where(groups.num_relevant > 0, hits / n, np.nan))


def ranked_precisions(relevant: NDArray[np.bool_], n: int) -> Tensor:
    """Precision of the first n ranks of explicit rankings.

    Args:
        relevant: bool ``(Q, N)``, whether the item at each rank is relevant, best rank first.
        n: number of ranks, >= 1; a shorter ranking is taken whole, and its length divides.

    Returns:
        float64 ``(Q,)`` in [0, 1]; NaN for a query without relevant items.

    Raises:
        ValueError: if n is below 1 or the rankings are empty.
    """
    n = _cut(n, relevant.shape[1])
    return torch.from_numpy(np.where(relevant.any(axis=1), relevant[:, :n].sum(axis=1) / n, np.nan))


def precisions_within_radius(histograms: DistanceHistograms, radius: int = 2) -> Tensor:
    """Precision among the items within a Hamming radius ("radius-2 look-up").

    Args:
        histograms: counts by distance, of the whole database.
        radius: largest distance, 0..K.

    Returns:
        float64 ``(Q,)`` in [0, 1], 0 where no item lies within the radius; NaN for a query without relevant
        items in the database.

    Raises:
        ValueError: if the radius is outside 0..K.
    """
    bits = histograms.total.shape[1] - 1
    if not 0 <= radius <= bits:
        raise ValueError(f"radius must be in 0..{bits} for {bits} bits, got {radius}")
    retrieved = histograms.total[:, : radius + 1].sum(1)
    hits = histograms.relevant[:, : radius + 1].sum(1)
    precision = hits.double() / retrieved.clamp(min=1)
    return precision.masked_fill(histograms.relevant.sum(1) == 0, torch.nan)


def precision_recall_curve(
    histograms: DistanceHistograms,
    empty: Empty = "zero",
    unretrieved: Unretrieved = "zero",
    names: Tensor | None = None,
) -> PrecisionRecallCurve:
    """Precision and recall within each Hamming radius 0..K, averaged over queries (macro average).

    Args:
        histograms: counts by distance, of the whole database.
        empty: what a query without relevant items counts, see `apply_empty_policy`.
        unretrieved: what the precision of a query counts at a radius that holds no item: ``zero`` counts 0,
            as radius-2 look-ups do; ``skip`` leaves it out of the mean at that radius (NaN if none is left).
        names: int64 ``(Q,)``, how to call the queries in a message; their positions by default.

    Raises:
        ValueError: on an unknown policy, and by ``empty = "error"``.
    """
    check_unretrieved(unretrieved)
    retrieved, hits = histograms.total.cumsum(1), histograms.relevant.cumsum(1)
    defined = apply_empty_policy(hits[:, -1].double() / hits[:, -1], empty, names).isnan().logical_not()
    precision = hits.double() / (retrieved.clamp(min=1) if unretrieved == "zero" else retrieved)
    recall = hits.double() / hits[:, -1:].clamp(min=1)
    return PrecisionRecallCurve(_column_means(precision[defined]), _column_means(recall[defined]))


def _column_means(values: Tensor) -> Tensor:
    return torch.tensor([mean_score(column) for column in values.T], dtype=torch.float64)


def _cut(n: int, num_items: int) -> int:
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if num_items == 0:
        raise ValueError("the database is empty")
    return min(n, num_items)
