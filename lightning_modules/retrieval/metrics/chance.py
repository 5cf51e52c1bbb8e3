"""Chance level: the scores of a random ranking, without which MAP and T-MAP of multi-label data mislead."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.retrieval.metrics.average_precision import Kind, expected_average_precisions
from lightning_modules.retrieval.metrics.histograms import DistanceHistograms, distance_histograms


def chance_histograms(query_labels: Tensor, database_labels: Tensor) -> DistanceHistograms:
    """Histograms of a ranking that knows nothing: all items at distance 0 of a one-bit code.

    Args:
        query_labels: ``(Q, C)`` multi-hot in {0, 1}; target labels for the chance level of T-MAP.
        database_labels: ``(N, C)`` multi-hot in {0, 1}.

    Raises:
        ValueError: on labels other than 0 and 1, or different numbers of classes.
    """
    codes = [torch.ones(len(part), 1, dtype=torch.int8, device=part.device) for part in (query_labels, database_labels)]
    return distance_histograms(codes[0], query_labels, codes[1], database_labels)


def chance_average_precisions(
    query_labels: Tensor, database_labels: Tensor, kind: Kind = "full", k: int | None = None
) -> Tensor:
    """Expected average precision of a uniformly random ranking, in closed form.

    Args:
        query_labels: ``(Q, C)`` multi-hot in {0, 1}; target labels for the chance level of T-MAP.
        database_labels: ``(N, C)`` multi-hot in {0, 1}.
        kind: ``full``, ``truncated`` or ``first_hits``, as in `average_precisions`.
        k: cut-off of the latter two, >= 1.

    Returns:
        float64 ``(Q,)`` in [0, 1]; NaN for a query without relevant items in the database. Average it with
        `apply_empty_policy` and `mean_score`, like the score it is compared with.

    Raises:
        ValueError: on labels other than 0 and 1, different numbers of classes, or a bad ``kind`` and ``k``.
    """
    return expected_average_precisions(chance_histograms(query_labels, database_labels), kind, k)
