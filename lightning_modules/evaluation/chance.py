"""Chance levels of an evaluation: what a random ranking of the same database scores."""

from __future__ import annotations

from torch import Tensor

from lightning_modules.evaluation.directions import conventions
from lightning_modules.retrieval.metrics import apply_empty_policy, chance_average_precisions, mean_score


def chance_levels(queries: Tensor, targets: Tensor, database: Tensor, cutoff: int | None) -> dict[str, float]:
    """Return the chance level of every metric and convention, e.g. ``t_map_hits50``.

    Directions do not matter: the items of a pair share their labels.

    Args:
        queries: uint8 ``(Q, C)`` labels of the queries.
        targets: uint8 ``(Q, C)`` their target labels.
        database: uint8 ``(N, C)`` labels of the database.
        cutoff: k of the conventions that have one.
    """
    return {
        f"{name}{c.suffix}": mean_score(apply_empty_policy(chance_average_precisions(wanted, database, c.kind, c.k)))
        for name, wanted in (("map", queries), ("t_map", targets))
        for c in conventions(cutoff)
    }
