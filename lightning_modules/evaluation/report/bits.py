"""Which bits of a code an attack flips, and which of them a defence brings back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lightning_modules.evaluation.report import marks
from lightning_modules.evaluation.report.model import Row, RowKey, grouped, number, row_key, row_label

COLOURS = 6
WIDTH, LEFT, RIGHT = 410.0, 134.0, 46.0
HEAD, GROUP_HEIGHT, ROW_HEIGHT, BAR_HEIGHT = 8.0, 27.0, 36.0, 26.0
SLIMMEST_GAP = 3.0  # narrower bars stand side by side without a gap


def flips_plot(rows: Sequence[Row], flips: Mapping[RowKey, NDArray[np.floating]], order: Sequence[str]) -> str:
    """Draw one bar per bit and row: the share of queries in which it differs from the clean code.

    Bits stand in the order of the code, so that rows compare bit by bit.

    Args:
        rows: of one data set and hasher; those without flips are left out.
        flips: ``row_key(row)`` to shares ``(K,)`` in [0, 1].
        order: all defences; a defence's place decides its colour.

    Returns:
        An ``<svg>`` element.
    """
    shown = [row for row in rows if row_key(row) in flips]
    parts: list[str] = []
    told: list[str] = []
    y, bits = HEAD, 0
    for (attack,), members in grouped(shown, "attack").items():
        parts.append(marks.label(0, y + 17, f"attack: {attack}", "group", 24))
        y += GROUP_HEIGHT
        for row in members:
            shares = np.asarray(flips[row_key(row)], dtype=np.float64)
            bits, name = len(shares), row_label(row, rows)
            parts += _row(shares, name, y, f"s{order.index(str(row['defence'])) % COLOURS}")
            told.append(f"{attack}, defence {name}: {number(shares.sum(), 1)}")
            y += ROW_HEIGHT
    parts.append(
        marks.label((LEFT + WIDTH - RIGHT) / 2, y + 12, f"bits 1 to {bits}, in the order of the code", "tick middle")
    )
    return marks.drawing(WIDTH, y + 18, f"Bits flipped of {bits}. {'; '.join(told)}", parts)


def _row(shares: NDArray[np.floating], name: str, y: float, colour: str) -> list[str]:
    """Draw the bars of one row between a line for 0 and a line for 1, and their sum."""
    bottom = y + BAR_HEIGHT
    return [
        marks.label(12, bottom - 8, name, "name", 18),
        marks.line(LEFT, y, WIDTH - RIGHT, y, "grid"),
        f'<path d="{_bars(shares, bottom)}" class="bits {colour}"/>',
        marks.line(LEFT, bottom, WIDTH - RIGHT, bottom, "grid"),
        marks.label(WIDTH, bottom - 8, number(shares.sum(), 1), "value end"),
    ]


def _bars(shares: NDArray[np.floating], bottom: float) -> str:
    """Return the outline of all bars as one path."""
    step = (WIDTH - LEFT - RIGHT) / len(shares)
    width = step - 1 if step > SLIMMEST_GAP else step
    return "".join(
        f"M{LEFT + place * step:.1f},{bottom:.1f}v{-share * BAR_HEIGHT:.2f}h{width:.2f}v{share * BAR_HEIGHT:.2f}z"
        for place, share in enumerate(shares)
    )
