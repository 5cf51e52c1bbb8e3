"""Directions of retrieval: which modality asks, which one is ranked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn

from lightning_modules.retrieval.metrics import HammingMAP
from lightning_modules.types import Batch

Direction = Literal["I2I", "I2T", "T2I", "T2T"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
MODALITIES = {"I": "image", "T": "text"}


def modalities(direction: str) -> tuple[str, str]:
    """Return the names of the modality that asks and of the one that is ranked.

    Raises:
        ValueError: no such direction.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction {direction!r}: expected one of {', '.join(DIRECTIONS)}")
    return MODALITIES[direction[0]], MODALITIES[direction[-1]]


def check_directions(directions: Sequence[str] | None, encoders: Iterable[str]) -> list[str]:
    """Return the directions to score, by default all between the modalities that have an encoder.

    Raises:
        ValueError: none, an unknown one, or one between modalities without encoders.
    """
    known = set(encoders)
    if directions is None:
        return [name for name in DIRECTIONS if set(modalities(name)) <= known]
    for name in directions:
        if not set(modalities(name)) <= known:
            raise ValueError(f"direction {name!r} needs encoders of {modalities(name)}, the module has {sorted(known)}")
    if not directions:
        raise ValueError("directions=[]: expected at least one, e.g. I2T")
    return list(directions)


class DirectionScores(nn.ModuleDict):
    """One MAP per direction.

    Args:
        directions: which ones.
    """

    def __init__(self, directions: Sequence[str]) -> None:
        super().__init__({name: HammingMAP() for name in directions})

    def add(self, codes: Mapping[str, Tensor], batch: Batch, role: Any) -> None:
        """Add the codes of one batch of ``query`` or ``database`` items, by modality."""
        metric: Any
        for direction, metric in self.items():
            asking, ranked = modalities(direction)
            part = codes[asking if role == "query" else ranked]
            metric.update(part, batch.label, batch.index, role)

    @property
    def selecting(self) -> list[str]:
        """The directions whose mean chooses a model: I2T and T2I (DGCPN, DADH), or all where neither is scored."""
        return [name for name in self if name in ("I2T", "T2I")] or list(self)
