"""Numbers about the labels of a data set: frequencies, labels per item, chance level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.base import RetrievalDataModule
from datamodules.checks import PARTS
from lightning_modules.retrieval.metrics import apply_empty_policy, chance_average_precisions, mean_score
from lightning_modules.retrieval.targets import draw_targets


@dataclass(frozen=True, eq=False)
class Counts:
    """How many items of each split belong to each of several kinds.

    Attributes:
        kinds: ``k`` names.
        numbers: int64 ``(k, 4)``, a column for each of `PARTS`.
        totals: int64 ``(4,)``, the items of each split.
    """

    kinds: tuple[str, ...]
    numbers: np.ndarray
    totals: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Share of its split's items, float ``(k, 4)`` in [0, 1]; 0 in an empty split."""
        return self.numbers / np.maximum(self.totals, 1)


@dataclass(frozen=True)
class Chance:
    """Scores of a random ranking; ``trouble`` says why there is no T-MAP."""

    map: float
    t_map: float | None
    trouble: str = ""


def class_frequencies(module: RetrievalDataModule) -> Counts:
    """Count the items of every class, the most frequent class of the database first."""
    numbers = np.stack([module.labels(part).numpy().sum(axis=0, dtype=np.int64) for part in PARTS], axis=1)
    order = np.argsort(-numbers[:, 0], kind="stable")
    return Counts(tuple(module.class_names[c] for c in order), numbers[order], _totals(module))


def labels_per_item(module: RetrievalDataModule) -> Counts:
    """Count the items with no label, one label, two labels and so on."""
    per_item = [module.labels(part).numpy().sum(axis=1, dtype=np.int64) for part in PARTS]
    most = max(int(values.max(initial=0)) for values in per_item)
    numbers = np.stack([np.bincount(values, minlength=most + 1) for values in per_item], axis=1)
    return Counts(tuple(map(str, range(most + 1))), numbers, _totals(module))


def chance_level(module: RetrievalDataModule) -> Chance:
    """Score a random ranking of the database for the queries, and for targets drawn for them.

    Targets are drawn as an evaluation does by default. T-MAP is None where the database is too small for that.
    """
    queries, database = module.labels("query"), module.labels("database")
    score = mean_score(apply_empty_policy(chance_average_precisions(queries, database)))
    try:
        targets = draw_targets(queries, module.ids("query"), database)
    except ValueError as error:
        return Chance(score, None, f"no target labels: {error}")
    return Chance(score, mean_score(apply_empty_policy(chance_average_precisions(targets, database))))


def _totals(module: RetrievalDataModule) -> np.ndarray:
    return np.array([len(module.rows(part)) for part in PARTS], dtype=np.int64)
