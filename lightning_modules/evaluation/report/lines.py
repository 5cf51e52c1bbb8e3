"""A sweep as lines: MAP and T-MAP over an option, and how far the defended image is from the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lightning_modules.evaluation.report import marks
from lightning_modules.evaluation.report.model import Row, number
from lightning_modules.evaluation.report.sweep import SWEPT, Sweep

WIDTH, LEFT, RIGHT = 410.0, 60.0, 20.0
TOP, HEIGHT, GAP, LOW_HEIGHT = 20.0, 220.0, 46.0, 90.0
DASHED = 'stroke-dasharray="5 4"'

Reader = Callable[[Row], float | None]


def sweep_plot(sweep: Sweep, attacks: Sequence[str]) -> str:
    """Draw MAP (whole lines) and T-MAP (dashed) of every attack, and below them the image distance.

    Settings stand at equal distances, whatever their values. The image distance is the root mean squared difference
    from the original picture, in steps of 1/255.

    Args:
        sweep: what is swept.
        attacks: all attacks of the report; an attack's place decides its colour.

    Returns:
        An ``<svg>`` element.
    """
    low_top = TOP + HEIGHT + GAP
    distances = [_distance(row) or 0.0 for line in sweep.rows.values() for row in line if row is not None]
    highest = max([1.0, *distances])
    parts = _axes(sweep, TOP, HEIGHT, 1.0, "MAP, T-MAP")
    parts += _axes(sweep, low_top, LOW_HEIGHT, highest, "RMSE, 1/255")
    bottom = low_top + LOW_HEIGHT
    for attack, rows in sweep.rows.items():
        style = f'class="curve s{attacks.index(attack) % 6}"'
        parts += _line(rows, lambda row: row.get("map"), TOP, HEIGHT, 1.0, style)
        parts += _line(rows, lambda row: row.get("t_map"), TOP, HEIGHT, 1.0, f"{style} {DASHED}")
        parts += _line(rows, _distance, low_top, LOW_HEIGHT, highest, style)
    for place, value in enumerate(sweep.values):
        parts.append(marks.label(_across(place, sweep), bottom + 17, f"{value:g}", "tick middle"))
    parts.append(marks.label((LEFT + WIDTH - RIGHT) / 2, bottom + 35, SWEPT[sweep.option], "axis middle"))
    parts += _legend(sweep, attacks, bottom + 58)
    name = f"MAP, T-MAP and image distance over {SWEPT[sweep.option]}; the table has the numbers"
    return marks.drawing(WIDTH, bottom + 62 + 19 * len(sweep.rows), name, parts)


def _distance(row: Row) -> float | None:
    rmse = row.get("defended_rmse")
    return None if rmse is None else 255 * float(rmse)


def _across(place: int, sweep: Sweep) -> float:
    return LEFT + (place + 0.5) * (WIDTH - LEFT - RIGHT) / len(sweep.values)


def _axes(sweep: Sweep, top: float, height: float, highest: float, title: str) -> list[str]:
    parts = [marks.label(LEFT, top - 7, title, "axis")]
    for share in (0, 0.5, 1):
        y = top + (1 - share) * height
        parts.append(marks.line(LEFT, y, WIDTH - RIGHT, y, "grid"))
        parts.append(marks.label(LEFT - 7, y + 4, number(share * highest, 1), "tick end"))
    return parts + [
        marks.line(_across(place, sweep), top, _across(place, sweep), top + height, "grid")
        for place in range(len(sweep.values))
    ]


def _line(rows: Sequence[Row | None], read: Reader, top: float, height: float, highest: float, style: str) -> list[str]:
    """Draw the values that are there; a setting without one is passed over."""
    step = (WIDTH - LEFT - RIGHT) / len(rows)
    points = [
        (LEFT + (place + 0.5) * step, top + (1 - float(value) / highest) * height)
        for place, row in enumerate(rows)
        if row is not None and (value := read(row)) is not None
    ]
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return [f'<polyline points="{text}" {style}/>'] if points else []


def _legend(sweep: Sweep, attacks: Sequence[str], y: float) -> list[str]:
    parts = []
    for attack in sweep.rows:
        style = f'class="curve s{attacks.index(attack) % 6}"'
        parts.append(f'<line x1="{LEFT}" y1="{y - 4:.1f}" x2="{LEFT + 34}" y2="{y - 4:.1f}" {style}/>')
        name = "no attack" if attack == "none" else attack
        parts.append(marks.label(LEFT + 43, y, f"{name}: MAP; dashed: T-MAP", "name", 44))
        y += 19
    return parts
