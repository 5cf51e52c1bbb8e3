"""What an evaluation scores beside I2I over the whole ranking: other directions, other conventions of MAP.

Columns are named for what they are: ``map_i2t`` ranks texts for an image query; ``map_top50_i2t`` looks at the first 50
ranks only, ``map_hits50_i2t`` at the first 50 hits wherever they rank, which is what TA-DCH and DADH call MAP@50.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.evaluation.texts import TextSide
from lightning_modules.retrieval.metrics import apply_empty_policy, distance_histograms, expected_average_precisions
from lightning_modules.retrieval.metrics.average_precision import Kind
from lightning_modules.types import CodeBook


@dataclass(frozen=True)
class Convention:
    """One meaning of MAP: its part of a column's name, and the options of the metric."""

    suffix: str
    kind: Kind
    k: int | None


def conventions(cutoff: int | None) -> tuple[Convention, ...]:
    """Return MAP over the whole ranking, and with a cut-off both of its truncated forms."""
    full = Convention("", "full", None)
    if cutoff is None:
        return (full,)
    return full, Convention(f"_top{cutoff}", "truncated", cutoff), Convention(f"_hits{cutoff}", "first_hits", cutoff)


class DirectionScorer:
    """Scores queries in every direction of a hasher and every convention.

    Image queries, attacked and defended or not, ask for images and, of a cross-modal hasher, for texts. Texts ask in
    the clean cell only, since neither attacks nor defences change them.

    Args:
        database: codes and labels of the database's images.
        text: the texts of a cross-modal hasher, or None.
        cutoff: k of the truncated conventions; None for the whole ranking alone.
        clean: neither attack nor defence.
        targeted: whether T-MAP has a meaning.
    """

    def __init__(
        self, database: CodeBook, text: TextSide | None, cutoff: int | None, clean: bool, targeted: bool
    ) -> None:
        self.text, self.targeted, self._conventions = text, targeted, conventions(cutoff)
        self._image: dict[str, CodeBook] = {"": database}
        self._text: dict[str, CodeBook] = {}
        if text is not None:
            self._image = {"_i2i": database, "_i2t": text.database}
            self._text = {"_t2i": database, "_t2t": text.database} if clean else {}

    @property
    def names(self) -> list[str]:
        """The columns, without ``map`` and ``t_map``, which are I2I over the whole ranking."""
        image = [
            f"{metric}{c.suffix}{d}" for d in self._image for metric in ("map", "t_map") for c in self._conventions
        ]
        text = [f"map{c.suffix}{d}" for d in self._text for c in self._conventions]
        return [name for name in (*image, *text) if name not in ("map", "t_map")]

    def __call__(self, index: Tensor, codes: Tensor, label: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Score some queries.

        Args:
            index: int64 ``(B,)``, their positions among the queries.
            codes: int8 ``(B, K)`` of their images.
            label: uint8 ``(B, C)`` true labels.
            target: uint8 ``(B, C)`` target labels.

        Returns:
            float64 ``(B,)`` by column; T-MAP is NaN where it has no meaning.
        """
        if not self.names:
            return {}
        scores = dict(self._scores("map", self._image, codes, label))
        if self.text is not None and self._text:
            scores |= self._scores("map", self._text, self.text.queries[index.cpu()], label)
        aimed = dict(self._scores("t_map", self._image, codes, target))
        scores |= aimed if self.targeted else {name: torch.full_like(value, torch.nan) for name, value in aimed.items()}
        return {name: scores[name] for name in self.names}

    def _scores(
        self, metric: str, ranked: Mapping[str, CodeBook], codes: Tensor, labels: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        for direction, database in ranked.items():
            found = distance_histograms(codes, labels, database.codes, database.labels)
            for c in self._conventions:
                values = expected_average_precisions(found, c.kind, c.k)
                yield f"{metric}{c.suffix}{direction}", apply_empty_policy(values)
