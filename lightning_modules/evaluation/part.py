"""A part of the cells, for machines that share a store: ``--only 2/4``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One of several parts of the cells of a plan.

    Attributes:
        number: which part, from 1.
        count: number of parts.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``i/n``.

        Raises:
            ValueError: that is no part.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        number, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise ValueError(f"only={text!r}: expected i/n with 1 <= i <= n, e.g. 2/4")
        return cls(number, count)

    @property
    def file_name(self) -> str:
        """Name of the files with its results."""
        return "results" if self.count == 1 else f"results-{self.number}-of-{self.count}"

    def of(self, cells: Sequence[T]) -> Sequence[T]:
        """Return every n-th cell: neighbours share stages, whose shards the machines compute side by side.

        Raises:
            ValueError: more parts than cells.
        """
        if self.count > len(cells):
            raise ValueError(
                f"only={self.number}/{self.count}: the plan has {len(cells)} cells, expected at most as many"
            )
        return cells[self.number - 1 :: self.count]
