"""The figures of the paper's Tables 1 to 4 and 7 to 9, one per row of ``figures.csv``, as printed.

``note`` marks figures that contradict another one or the text. Figure 2 prints no numbers; its point T_p = 45 is
Table 4's.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class PaperFigure:
    """One printed figure.

    Attributes:
        table: number of the table.
        dataset: ``FLICKR-25K``, ``MS-COCO``, ``NUS-WIDE``, ``WIKI`` or ``IAPR``.
        hasher: hashing method, as the table's head names it.
        attack: attack, or ``none``.
        defence: ``RetPur``, in Table 4 with the distance of its guidance, or ``none``.
        direction: ``I2I`` or ``I2T``.
        metric: ``MAP`` or ``T-MAP``.
        percent: the figure, in percent.
        note: what is odd about it; empty for most.
    """

    table: str
    dataset: str
    hasher: str
    attack: str
    defence: str
    direction: str
    metric: str
    percent: float
    note: str

    @property
    def cell(self) -> tuple[str, str, str, str]:
        """Where it stands: data set, hasher, attack, defence."""
        return self.dataset, self.hasher, self.attack, self.defence

    @property
    def column(self) -> str:
        """What it measures, e.g. ``I2I T-MAP``."""
        return f"{self.direction} {self.metric}"


@cache
def read_figures() -> tuple[PaperFigure, ...]:
    """Return every printed figure, table by table."""
    text = files("lightning_modules.evaluation.paper").joinpath("figures.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(PaperFigure(percent=float(row.pop("percent")), **row) for row in rows)
