"""The scores of a row beside MAP and T-MAP: other directions, other conventions, each named for what it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lightning_modules.evaluation.report.model import Row

COLUMN = re.compile(r"(?P<metric>t_map|map)(_(?P<kind>top|hits)(?P<k>\d+))?(_(?P<direction>[it]2[it]))?")
METRICS = {"map": "MAP", "t_map": "T-MAP"}
KINDS = {"top": "ranks", "hits": "hits"}


def score_columns(rows: Sequence[Row]) -> list[str]:
    """Return the further scores that any of the rows has, in order of appearance."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if value is not None)
    return [name for name in names if name not in METRICS and COLUMN.fullmatch(name)]


def score_title(name: str) -> str:
    """Return a column's title: ``t_map_hits50_i2t`` is "T-MAP, first 50 hits, I2T"."""
    found = COLUMN.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no name of a score")
    parts = [METRICS[found["metric"]]]
    if found["kind"]:
        parts.append(f"first {found['k']} {KINDS[found['kind']]}")
    if found["direction"]:
        parts.append(found["direction"].upper())
    return ", ".join(parts)
