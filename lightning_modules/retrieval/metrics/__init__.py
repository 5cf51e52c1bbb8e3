"""Exact metrics of Hamming retrieval: mean average precision, precision, recall, and their chance level."""

from lightning_modules.retrieval.metrics.average_precision import (
    apply_empty_policy,
    expected_average_precisions,
    mean_score,
    ranked_average_precisions,
)
from lightning_modules.retrieval.metrics.chance import chance_average_precisions, chance_histograms
from lightning_modules.retrieval.metrics.hamming_map import (
    HammingMAP,
    HammingPrecision,
    HammingPrecisionRecall,
)
from lightning_modules.retrieval.metrics.histograms import DistanceHistograms, distance_histograms
from lightning_modules.retrieval.metrics.items import HammingMetric
from lightning_modules.retrieval.metrics.packing import PackedBits, pack_codes, pack_labels
from lightning_modules.retrieval.metrics.precision import (
    PrecisionRecallCurve,
    expected_precisions,
    precision_recall_curve,
    precisions_within_radius,
    ranked_precisions,
)
from lightning_modules.retrieval.metrics.ranking import ranked_relevance, top_n
from lightning_modules.retrieval.metrics.scores import average_precisions, precisions

__all__ = [
    "DistanceHistograms",
    "HammingMAP",
    "HammingMetric",
    "HammingPrecision",
    "HammingPrecisionRecall",
    "PackedBits",
    "PrecisionRecallCurve",
    "apply_empty_policy",
    "average_precisions",
    "chance_average_precisions",
    "chance_histograms",
    "distance_histograms",
    "expected_average_precisions",
    "expected_precisions",
    "mean_score",
    "pack_codes",
    "pack_labels",
    "precision_recall_curve",
    "precisions",
    "precisions_within_radius",
    "ranked_average_precisions",
    "ranked_precisions",
    "ranked_relevance",
    "top_n",
]
