"""Average precision of Hamming rankings: expected over random ties, or of one explicit ranking.

Three conventions are in use, and differ much on large databases:

* ``full``: mean precision over all relevant items.
* ``truncated``: of the first k ranks only, mean precision over the relevant items found there, 0 if there are
  none. The MAP@k of ProS-GAN (``CalcTopMap``), THA and DGCPN.
* ``first_hits``: mean precision over the first min(k, number of relevant) relevant items, wherever they rank.
  The "MAP@k" of DADH (``calc_map_k``) and TA-DCH (``CalcMap``).

A short code leaves most of a ranking to ties. Their expectation in closed form is due to McSherry and Najork,
"Computing information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008;
`expected_average_precisions` extends it to the two cut-off conventions.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.retrieval.metrics.histograms import DistanceHistograms
from lightning_modules.retrieval.metrics.ties import TieGroups, hit_count, hit_position

Kind = Literal["full", "truncated", "first_hits"]
Empty = Literal["zero", "skip", "error"]

KINDS: tuple[Kind, ...] = ("full", "truncated", "first_hits")
EMPTY_POLICIES: tuple[Empty, ...] = ("zero", "skip", "error")


def check_kind(kind: str, k: int | None) -> None:
    """Check that a convention and its cut-off fit together.

    Raises:
        ValueError: on an unknown kind, a k with ``full``, or none, or one below 1, with another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "full" and k is not None:
        raise ValueError(f"kind 'full' has no cut-off, got k = {k}: use 'truncated' or 'first_hits'")
    if kind != "full" and (k is None or k < 1):
        raise ValueError(f"kind {kind!r} needs a cut-off k of at least 1, got {k}")


def check_empty(empty: str) -> None:
    """Check the name of a policy for queries without relevant items.

    Raises:
        ValueError: on another policy than those of `apply_empty_policy`.
    """
    if empty not in EMPTY_POLICIES:
        raise ValueError(f"empty must be one of {', '.join(EMPTY_POLICIES)}, got {empty!r}")


def expected_average_precisions(histograms: DistanceHistograms, kind: Kind = "full", k: int | None = None) -> Tensor:
    """Average precision of each query, expected over all orders of the items within each distance.

    Args:
        histograms: counts by distance, of the whole database.
        kind: the convention, see the module's text.
        k: cut-off of ``truncated`` (in ranks) and ``first_hits`` (in relevant items), >= 1.

    Returns:
        float64 ``(Q,)`` in [0, 1] on the CPU; NaN for a query without relevant items in the database.

    Raises:
        ValueError: if ``kind`` and ``k`` do not fit together.
    """
    check_kind(kind, k)
    groups = TieGroups.from_histograms(histograms)
    match kind:
        case "full":
            found = groups.num_relevant
            values = groups.precision_sums().sum(axis=1) / np.maximum(found, 1)
        case "truncated":
            values = _expected_truncated(groups, k or 0)
        case "first_hits":
            values = _expected_first_hits(groups, k or 0)
    return torch.from_numpy(np.where(groups.num_relevant > 0, values, np.nan))


def ranked_average_precisions(relevant: NDArray[np.bool_], kind: Kind = "full", k: int | None = None) -> Tensor:
    """Average precision of explicit rankings.

    Args:
        relevant: bool ``(Q, N)``, whether the item at each rank is relevant, best rank first. The whole
            database is needed: items left out count as irrelevant.
        kind: the convention, see the module's text.
        k: cut-off of ``truncated`` (in ranks) and ``first_hits`` (in relevant items), >= 1.

    Returns:
        float64 ``(Q,)`` in [0, 1]; NaN for a query without relevant items.

    Raises:
        ValueError: if ``kind`` and ``k`` do not fit together.
    """
    check_kind(kind, k)
    num_relevant = relevant.sum(axis=1)
    if kind == "truncated":
        relevant = relevant[:, :k]
    hits = relevant.cumsum(axis=1)
    counted = relevant & (hits <= k) if kind == "first_hits" else relevant
    precisions = np.where(counted, hits / np.arange(1, relevant.shape[1] + 1), 0.0)
    values = precisions.sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return torch.from_numpy(np.where(num_relevant > 0, values, np.nan))


def apply_empty_policy(values: Tensor, empty: Empty = "zero", names: Tensor | None = None) -> Tensor:
    """Decide what a query without relevant items (NaN) counts.

    Args:
        values: float ``(Q,)``, a per-query score, NaN where it is undefined.
        empty: ``zero`` counts 0, as the references do; ``skip`` keeps NaN, which `mean_score` leaves out;
            ``error`` refuses.
        names: int64 ``(Q,)``, how to call the queries in the message; their positions by default.

    Returns:
        float ``(Q,)``.

    Raises:
        ValueError: on an unknown policy, and by ``error`` on a query without relevant items, which it names.
    """
    check_empty(empty)
    missing = values.isnan()
    if empty == "zero":
        return values.masked_fill(missing, 0.0)
    if empty == "error" and bool(missing.any()):
        first = int(missing.nonzero()[0, 0])
        name = first if names is None else int(names[first])
        raise ValueError(f"query {name} has no relevant item in the database ({int(missing.sum())} such queries)")
    return values


def mean_score(values: Tensor) -> float:
    """Mean over queries, without those that are NaN, rounded once: no order of the queries changes it.

    Args:
        values: float64 ``(Q,)``.

    Returns:
        The mean; NaN if no query is left.
    """
    kept = values[~values.isnan()].tolist()
    return math.fsum(kept) / len(kept) if kept else math.nan


def _expected_truncated(groups: TieGroups, k: int) -> NDArray[np.float64]:
    """Sum over the number of hits that the group cut by rank k puts within the first k ranks."""
    if groups.num_items == 0:
        return np.zeros(len(groups.size))
    k = min(k, groups.num_items)
    sums = groups.precision_sums().cumsum(axis=1)
    cut = (groups.items_before + groups.size >= k).argmax(axis=1)
    values = np.zeros(len(cut))
    for query, column in enumerate(cut.tolist()):
        size, relevant, items, hits = groups.at(query, column)
        found, probability = hit_count(size, relevant, k - items)
        above = sums[query, column - 1] if column else 0.0
        within = groups.precision_sum(k - items, found, items, hits)
        values[query] = (probability * (above + within) / np.maximum(hits + found, 1)).sum()
    return values


def _expected_first_hits(groups: TieGroups, k: int) -> NDArray[np.float64]:
    """Sum over the position, in its group, of the last hit that counts."""
    wanted = np.minimum(k, groups.num_relevant)
    sums = groups.precision_sums().cumsum(axis=1)
    cut = (groups.hits_before + groups.relevant >= wanted[:, None]).argmax(axis=1)
    values = np.zeros(len(cut))
    for query in np.flatnonzero(wanted).tolist():
        column = int(cut[query])
        size, relevant, items, hits = groups.at(query, column)
        missing = int(wanted[query]) - hits
        position, probability = hit_position(size, relevant, missing)
        above = sums[query, column - 1] if column else 0.0
        before = groups.precision_sum(position - 1, np.asarray(missing - 1), items, hits)
        last = wanted[query] / (items + position)
        values[query] = (above + (probability * (before + last)).sum()) / wanted[query]
    return values
