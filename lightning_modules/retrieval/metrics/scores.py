"""Per-query scores straight from codes and labels: what bootstrap intervals and paired tests resample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.retrieval.metrics.average_precision import (
    Kind,
    check_kind,
    expected_average_precisions,
    ranked_average_precisions,
)
from lightning_modules.retrieval.metrics.histograms import DistanceHistograms, distance_histograms
from lightning_modules.retrieval.metrics.precision import expected_precisions, ranked_precisions
from lightning_modules.retrieval.metrics.ranking import ranked_relevance
from lightning_modules.retrieval.metrics.ties import Ties, check_ties


def average_precisions(
    query_codes: Tensor,
    query_labels: Tensor,
    database_codes: Tensor,
    database_labels: Tensor,
    *,
    kind: Kind = "full",
    k: int | None = None,
    ties: Ties = "expected",
) -> Tensor:
    """Average precision of each query; with target labels in place of ``query_labels``, what T-MAP averages.

    Args:
        query_codes: ``(Q, K)`` in {-1, +1}.
        query_labels: ``(Q, C)`` multi-hot in {0, 1}; items that share a class are relevant.
        database_codes: ``(N, K)`` in {-1, +1}.
        database_labels: ``(N, C)`` multi-hot in {0, 1}.
        kind: ``full``, ``truncated`` or ``first_hits``, see the module `average_precision`.
        k: cut-off of the latter two, >= 1.
        ties: ``expected`` takes the expectation over random orders of items at equal distance; ``index``
            ranks them in the order of the database.

    Returns:
        float64 ``(Q,)`` in [0, 1] on the CPU; NaN for a query without relevant items in the database.

    Raises:
        ValueError: on codes, labels or options that are out of range or do not fit together.
    """
    check_kind(kind, k)
    return _score(
        (query_codes, query_labels, database_codes, database_labels),
        ties,
        lambda histograms: expected_average_precisions(histograms, kind, k),
        lambda relevant: ranked_average_precisions(relevant, kind, k),
    )


def precisions(
    query_codes: Tensor,
    query_labels: Tensor,
    database_codes: Tensor,
    database_labels: Tensor,
    *,
    n: int,
    ties: Ties = "expected",
) -> Tensor:
    """Precision of the first ``n`` ranks of each query.

    Args:
        query_codes: ``(Q, K)`` in {-1, +1}.
        query_labels: ``(Q, C)`` multi-hot in {0, 1}; items that share a class are relevant.
        database_codes: ``(N, K)`` in {-1, +1}.
        database_labels: ``(N, C)`` multi-hot in {0, 1}.
        n: number of ranks, >= 1; a smaller database is taken whole, and its size divides.
        ties: as in `average_precisions`.

    Returns:
        float64 ``(Q,)`` in [0, 1] on the CPU; NaN for a query without relevant items in the database.

    Raises:
        ValueError: on codes, labels or options that are out of range or do not fit together.
    """
    return _score(
        (query_codes, query_labels, database_codes, database_labels),
        ties,
        lambda histograms: expected_precisions(histograms, n),
        lambda relevant: ranked_precisions(relevant, n),
    )


def _score(
    data: tuple[Tensor, Tensor, Tensor, Tensor],
    ties: Ties,
    expected: Callable[[DistanceHistograms], Tensor],
    ranked: Callable[[NDArray[np.bool_]], Tensor],
) -> Tensor:
    check_ties(ties)
    if ties == "expected":
        return expected(distance_histograms(*data))
    parts = [ranked(relevant) for _, relevant in ranked_relevance(*data)]
    return torch.cat([torch.zeros(0, dtype=torch.float64), *parts])
