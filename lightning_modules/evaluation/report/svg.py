"""Inline SVG plots; the page's style sheet colours them (classes ``s0`` to ``s5``), in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_modules.evaluation.report import marks
from lightning_modules.evaluation.report.model import Curve, Row, clean_row, grouped, number, row_label

DASHES = ("none", "7 3", "2 3", "9 3 2 3", "14 4", "5 2 1 2 1 2")
MOST_POINTS = 160

WIDTH, LEFT, RIGHT = 410, 134, 46
HEAD, GROUP_HEIGHT, ROW_HEIGHT = 46, 25, 21


def _across(value: float) -> float:
    """Return where a fraction in [0, 1] lies across the interval plot."""
    return LEFT + value * (WIDTH - LEFT - RIGHT)


def interval_plot(rows: Sequence[Row], metric: str, title: str, order: Sequence[str]) -> str:
    """Draw one dot with its 95 % bar per row, grouped by attack, with the clean and the chance level.

    Args:
        rows: of one data set and hasher (see ``Report.rows``).
        metric: ``map`` or ``t_map``; the row's ``chance_<metric>`` is its chance level.
        title: of the metric, for the axis and for screen readers.
        order: all defences; a defence's place decides its colour.

    Returns:
        An ``<svg>`` element.
    """
    groups = grouped(rows, "attack")
    bottom = HEAD + GROUP_HEIGHT * len(groups) + ROW_HEIGHT * len(rows)
    parts = [marks.line(_across(t), HEAD, _across(t), bottom, "grid") for t in (0, 0.25, 0.5, 0.75, 1)]
    parts += [marks.label(_across(tick), bottom + 18, f"{tick:g}", "tick middle") for tick in (0, 0.25, 0.5, 0.75, 1)]
    parts.append(marks.label(_across(0.5), bottom + 36, title, "axis middle"))
    parts += _level_labels(rows, metric)
    y = float(HEAD)
    for (attack,), members in groups.items():
        parts += _levels(members[0], rows, metric, y, y + GROUP_HEIGHT)
        parts.append(marks.label(0, y + 17, f"attack: {attack}", "group", 24))
        y += GROUP_HEIGHT
        for row in members:
            parts += _levels(row, rows, metric, y, y + ROW_HEIGHT)
            parts += _interval_row(row, row_label(row, rows), metric, y, order)
            y += ROW_HEIGHT
    return marks.drawing(
        WIDTH, bottom + 44, f"{title} of every row with its 95 % interval; the table has the numbers", parts
    )


def _level_of(row: Row, rows: Sequence[Row], metric: str, kind: str) -> float | None:
    """Return the clean or the chance level that ``row`` compares with."""
    if kind == "chance":
        return row.get(f"chance_{metric}")
    clean = clean_row(row, rows)
    return None if clean is None else clean.get(metric)


def _levels(row: Row, rows: Sequence[Row], metric: str, top: float, bottom: float) -> list[str]:
    """Draw the row's own stretch of the vertical clean and chance lines."""
    parts = []
    for kind in ("clean", "chance"):
        level = _level_of(row, rows, metric, kind)
        if level is not None:
            parts.append(marks.line(_across(level), top, _across(level), bottom, kind))
    return parts


def _level_labels(rows: Sequence[Row], metric: str) -> list[str]:
    """Name the vertical lines above the plot, the lower one on its left, the higher one on its right while room is."""
    levels = {kind: _level_of(rows[0], rows, metric, kind) for kind in ("clean", "chance")}
    known = [level for level in levels.values() if level is not None]
    parts = []
    for (kind, level), y in zip(levels.items(), (12, 28), strict=True):
        if level is None:
            continue
        on_the_left = level > 0.75 or (len(known) > 1 and level == min(known))
        place, side = (_across(level) - 5, "level end") if on_the_left else (_across(level) + 5, "level")
        parts.append(marks.label(place, y, f"{kind} {level:.3f}", side))
        parts.append(marks.line(_across(level), y - 9, _across(level), HEAD, kind))
    return parts


def _interval_row(row: Row, label: str, metric: str, y: float, order: Sequence[str]) -> list[str]:
    """Draw one row: its name, bar, dot and number."""
    middle = y + ROW_HEIGHT / 2
    parts = [marks.label(12, middle + 4, label, "name", 18)]
    value = row.get(metric)
    parts.append(marks.label(WIDTH, middle + 4, number(value), "value end"))
    if value is None:
        return parts
    colour = f"s{order.index(str(row['defence'])) % len(DASHES)}"
    low, high = row.get(f"{metric}_low"), row.get(f"{metric}_high")
    if low is not None and high is not None:
        parts.append(marks.line(_across(low), middle, _across(high), middle, f"bar {colour}"))
    parts.append(f'<circle cx="{_across(value):.1f}" cy="{middle:.1f}" r="3.4" class="dot {colour}"/>')
    return parts


@dataclass(frozen=True)
class Series:
    """One precision-recall curve.

    Attributes:
        name: in the legend.
        curve: ``(recall, precision)``, each float ``(n,)`` in [0, 1].
        place: chooses colour and dash; None draws the grey reference.
    """

    name: str
    curve: Curve
    place: int | None = None

    @property
    def style(self) -> str:
        """Return the class and dash attributes of the line."""
        if self.place is None:
            return 'class="curve reference"'
        place = self.place % len(DASHES)
        return f'class="curve s{place}" stroke-dasharray="{DASHES[place]}"'


def _thin(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return at most ``MOST_POINTS`` of ``values``, the first and the last among them."""
    places = np.unique(np.linspace(0, len(values) - 1, MOST_POINTS).round().astype(int))
    return values[places]


def precision_recall_plot(series: Sequence[Series], title: str) -> str:
    """Draw precision over recall, told apart by dash and by colour, with the legend underneath.

    Args:
        series: the curves of one panel, drawn in order.
        title: of the panel.

    Returns:
        An ``<svg>`` element.
    """
    size, left, top = 286.0, 46.0, 30.0
    parts = [marks.label(left, 17, title, "panel", 42)]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = left + tick * size, top + (1 - tick) * size
        parts += [marks.line(x, top, x, top + size, "grid"), marks.line(left, y, left + size, y, "grid")]
        parts.append(marks.label(x, top + size + 17, f"{tick:g}", "tick middle"))
        parts.append(marks.label(left - 7, y + 4, f"{tick:g}", "tick end"))
    parts.append(marks.label(left + size / 2, top + size + 35, "recall", "axis middle"))
    turned = f'transform="rotate(-90 12 {top + size / 2:.1f})"'
    parts.append(f'<text x="12" y="{top + size / 2:.1f}" class="axis middle" {turned}>precision</text>')
    for item in series:
        recall, precision = (_thin(np.asarray(part, dtype=np.float64)) for part in item.curve)
        across, down = left + recall * size, top + (1 - precision) * size
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
        parts.append(f'<polyline points="{points}" {item.style}/>')
    y = top + size + 58
    for item in series:
        parts.append(f'<line x1="{left}" y1="{y - 4:.1f}" x2="{left + 34}" y2="{y - 4:.1f}" {item.style}/>')
        parts.append(marks.label(left + 43, y, item.name, "name", 36))
        y += 19
    name = f"Precision over recall, {title}: {', '.join(item.name for item in series)}"
    return marks.drawing(left + size + 10, y - 8, name, parts)
