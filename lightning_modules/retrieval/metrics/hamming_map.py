"""Metrics of Hamming retrieval for training and test loops: stateful twins of the functions beside them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lightning_modules.retrieval.metrics.average_precision import (
    Empty,
    Kind,
    apply_empty_policy,
    check_empty,
    check_kind,
    mean_score,
)
from lightning_modules.retrieval.metrics.histograms import distance_histograms
from lightning_modules.retrieval.metrics.items import HammingMetric
from lightning_modules.retrieval.metrics.precision import (
    PrecisionRecallCurve,
    Unretrieved,
    check_unretrieved,
    precision_recall_curve,
)
from lightning_modules.retrieval.metrics.scores import average_precisions, precisions
from lightning_modules.retrieval.metrics.ties import Ties, check_ties


class HammingMAP(HammingMetric):
    """Mean average precision of Hamming rankings. An item is relevant if it shares a class with the query.

    T-MAP, the success of a targeted attack, is this same metric updated with target labels in place of the
    labels of the queries.

    Args:
        kind: ``full``, ``truncated`` (first k ranks, divided by the hits found there; ProS-GAN, DGCPN) or
            ``first_hits`` (first k hits wherever they rank; DADH, TA-DCH).
        k: cut-off of the latter two, >= 1.
        ties: ``expected``, the expectation over random orders of items at equal distance, which no order of
            the database changes; ``index`` ranks such items by their index.
        empty: a query without relevant items counts 0 (``zero``, as in the references), is left out of the
            mean (``skip``), or is refused (``error``).
        **kwargs: options of `torchmetrics.Metric`.

    Raises:
        ValueError: on an unknown option, or a ``kind`` and ``k`` that do not fit together.
    """

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        kind: Kind = "full",
        k: int | None = None,
        ties: Ties = "expected",
        empty: Empty = "zero",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_kind(kind, k)
        check_ties(ties)
        check_empty(empty)
        self.kind, self.k, self.ties, self.empty = kind, k, ties, empty

    def compute(self) -> Tensor:
        """Return the mean over queries, in [0, 1]; NaN if ``skip`` leaves no query."""
        return self._scalar(mean_score(self.per_query()))

    def per_query(self) -> Tensor:
        """Return the average precision of each query held by this process, by ascending query index.

        Returns:
            float64 ``(Q,)`` in [0, 1] on the CPU. Queries without relevant items follow ``empty``; ``skip``
            gives NaN, so that rows stay aligned with those of other metrics. With several processes, call it
            inside ``with metric.sync_context():``.
        """
        values = average_precisions(*self.data(), kind=self.kind, k=self.k, ties=self.ties)
        return apply_empty_policy(values, self.empty, self.items("query")[2])


class HammingPrecision(HammingMetric):
    """Precision of the first n ranks, averaged over queries.

    Args:
        n: number of ranks, >= 1; a smaller database is taken whole, and its size divides.
        ties: ``expected`` or ``index``, as for `HammingMAP`.
        empty: what a query without relevant items counts, as for `HammingMAP`.
        **kwargs: options of `torchmetrics.Metric`.

    Raises:
        ValueError: on an unknown option, or n below 1.
    """

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, n: int, ties: Ties = "expected", empty: Empty = "zero", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        check_ties(ties)
        check_empty(empty)
        self.n, self.ties, self.empty = n, ties, empty

    def compute(self) -> Tensor:
        """Return the mean over queries, in [0, 1]; NaN if ``skip`` leaves no query."""
        return self._scalar(mean_score(self.per_query()))

    def per_query(self) -> Tensor:
        """Return the precision of each query, as `HammingMAP.per_query` does."""
        values = precisions(*self.data(), n=self.n, ties=self.ties)
        return apply_empty_policy(values, self.empty, self.items("query")[2])


class HammingPrecisionRecall(HammingMetric):
    """Precision and recall within each Hamming radius 0..K, averaged over queries.

    Args:
        empty: what a query without relevant items counts, as for `HammingMAP`.
        unretrieved: what the precision of a query counts at a radius that holds no item: ``zero`` counts 0,
            ``skip`` leaves it out of the mean at that radius.
        **kwargs: options of `torchmetrics.Metric`.

    Raises:
        ValueError: on an unknown option.
    """

    def __init__(self, empty: Empty = "zero", unretrieved: Unretrieved = "zero", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_empty(empty)
        check_unretrieved(unretrieved)
        self.empty, self.unretrieved = empty, unretrieved

    def compute(self) -> PrecisionRecallCurve:
        """Return the curve, float64 ``(K + 1,)`` each, on the CPU."""
        histograms = distance_histograms(*self.data())
        return precision_recall_curve(histograms, self.empty, self.unretrieved, self.items("query")[2])
