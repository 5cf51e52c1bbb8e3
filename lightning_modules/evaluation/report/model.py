"""What a report holds: frozen, validated once, and the few questions its writers ask of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = Mapping[str, Any]
RowKey = tuple[str, str, str, str, str]
Curve = tuple[NDArray[np.floating], NDArray[np.floating]]
CaptionedPicture = tuple[str, str, NDArray[np.uint8]]

NAMES = ("dataset", "hasher", "attack", "defence")
REQUIRED = (*NAMES, "map", "num_queries", "seed")
FRACTIONS = (
    "map",
    "map_low",
    "map_high",
    "t_map",
    "t_map_low",
    "t_map_high",
    "anchor_t_map",
    "chance_map",
    "chance_t_map",
    "rmse",
)
AMOUNTS = ("num_queries", "seconds", "linf")


def row_key(row: Row) -> RowKey:
    """Return what identifies a row: ``(dataset, hasher, attack, defence, seed)``, as strings."""
    dataset, hasher, attack, defence = (str(row[name]) for name in NAMES)
    return dataset, hasher, attack, defence, str(row["seed"])


@dataclass(frozen=True, eq=False)
class Report:
    """Everything one report shows.

    Attributes:
        title: of the report, one line.
        rows: one mapping per evaluated combination, at least one. ``dataset``, ``hasher``, ``attack`` and
            ``defence`` are names (``none`` for no attack and no defence); ``map``, ``map_low``, ``map_high``,
            ``t_map``, ``t_map_low``, ``t_map_high``, ``anchor_t_map``, ``chance_map``, ``chance_t_map`` are
            fractions in [0, 1]; ``num_queries``, ``seed``, ``seconds`` speak for themselves; ``linf`` is the
            largest absolute change in units of 1/255 and ``rmse`` the root mean squared change in [0, 1].
            The names, ``map``, ``num_queries`` and ``seed`` are required, all else may be None or absent.
        curves: ``row_key(row)`` to ``(recall, precision)``, each float ``(n,)`` in [0, 1].
        strips: ``(caption, alt, picture)`` of samples, uint8 ``(H, W, 3)`` of five panels of equal width:
            original | attacked | purified | attacked - original | purified - original.
        retrieval: ``(caption, alt, picture)`` of retrieval lists, before and after.
        trajectory: uint8 ``(H, W, 3)`` of one purification, or None.
        facts: name to text: data fingerprint, metric definition, chance levels, seeds, command, versions.
        summary: one sentence; empty for one derived from the rows.
    """

    title: str
    rows: Sequence[Row]
    curves: Mapping[RowKey, Curve] = field(default_factory=dict)
    strips: Sequence[CaptionedPicture] = ()
    retrieval: Sequence[CaptionedPicture] = ()
    trajectory: NDArray[np.uint8] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("a report needs at least one row")
        for row in self.rows:
            _check_row(row)
        keys = [row_key(row) for row in self.rows]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"rows must differ in dataset, hasher, attack, defence or seed, twice: {sorted(twice)}")
        for key, (recall, precision) in self.curves.items():
            if key not in keys:
                raise ValueError(f"no row has the key {key} of a curve")
            _check_curve(key, np.asarray(recall), np.asarray(precision))


def _check_row(row: Row) -> None:
    """Raise unless the row has what a row needs and its numbers lie where they belong."""
    missing = [name for name in REQUIRED if row.get(name) is None]
    if missing:
        raise ValueError(f"a row lacks {', '.join(missing)}: {dict(row)}")
    for name in (*FRACTIONS, *AMOUNTS):
        value = row.get(name)
        if value is None:
            continue
        top = 1.0 if name in FRACTIONS else math.inf
        if not (math.isfinite(value) and 0 <= value <= top):
            raise ValueError(f"{name} of row {row_key(row)} must lie in [0, {top:g}], got {value}")
    for name in ("map", "t_map"):
        low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
        if (low is None) != (high is None):
            raise ValueError(f"{name} of row {row_key(row)} has one end of an interval, not both")
        if low is not None and high is not None and low > high:
            raise ValueError(f"{name}_low of row {row_key(row)} exceeds {name}_high: {low} > {high}")


def _check_curve(key: RowKey, recall: NDArray[np.floating], precision: NDArray[np.floating]) -> None:
    """Raise unless recall and precision are finite, of one length and in [0, 1]."""
    if recall.ndim != 1 or recall.shape != precision.shape or recall.size == 0:
        raise ValueError(f"curve {key} needs recall and precision (n,), got {recall.shape} and {precision.shape}")
    both = np.concatenate([recall, precision])
    if not (np.isfinite(both).all() and both.min() >= 0 and both.max() <= 1):
        raise ValueError(f"curve {key} must lie in [0, 1]")


def grouped(rows: Sequence[Row], *names: str) -> dict[tuple[str, ...], list[Row]]:
    """Group rows by the named fields, groups and rows in order of appearance."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in names), []).append(row)
    return groups


def defences(report: Report) -> list[str]:
    """Return the defences, ``none`` first, then in order of appearance; their place is their colour."""
    names = dict.fromkeys(str(row["defence"]) for row in report.rows)
    return ["none", *(name for name in names if name != "none")]


def clean_row(row: Row, rows: Sequence[Row]) -> Row | None:
    """Return the row without attack and defence that ``row`` compares with: of its seed, or of any seed."""
    same = [other for other in rows if row_key(other)[:4] == (*row_key(row)[:2], "none", "none")]
    return next((other for other in same if other["seed"] == row["seed"]), same[0] if same else None)


def row_label(row: Row, rows: Sequence[Row]) -> str:
    """Return the defence's name, with the seed where ``rows`` tell several seeds of it apart."""
    alike = [other for other in rows if row_key(other)[:4] == row_key(row)[:4]]
    return f"{row['defence']} (seed {row['seed']})" if len(alike) > 1 else str(row["defence"])


def number(value: float | None, digits: int = 3) -> str:
    """Print a number with a fixed count of decimals, an absent one as a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"  # noqa: RUF001 (an en dash: nothing there)


def interval(row: Row, metric: str) -> str:
    """Print the interval of ``metric``, or nothing where the row has none."""
    low, high = row.get(f"{metric}_low"), row.get(f"{metric}_high")
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def summary(report: Report) -> str:
    """Return the report's sentence: its own, or one derived from the first data set's and hasher's rows."""
    if report.summary:
        return report.summary
    (dataset, hasher), rows = next(iter(grouped(report.rows, "dataset", "hasher").items()))
    place = f"On {dataset} with {hasher} ({rows[0]['num_queries']:,} queries)"
    clean = clean_row(rows[0], rows)
    plain = [row for row in rows if row["attack"] != "none" and row["defence"] == "none" and _t(row) is not None]
    if clean is None or not plain or _t(clean) is None:
        return f"{place}, {len(rows)} combinations of attack and defence."
    worst = max(plain, key=lambda row: float(row["t_map"]))
    text = (
        f"{place}, {worst['attack']} moves T-MAP from {number(_t(clean))} to {number(_t(worst))} "
        f"and MAP from {number(clean['map'])} to {number(worst['map'])}"
    )
    rivals = [row for row in rows if row["attack"] == worst["attack"] and row["defence"] != "none"]
    if rivals:
        best = max(rivals, key=lambda row: float(row["map"]))
        stands = f"T-MAP {number(_t(best))} and MAP {number(best['map'])}"
        text += f"; behind {best['defence']} the system stands at {stands}"
    return f"{text}."


def _t(row: Row) -> float | None:
    """Return the row's T-MAP, if it has one."""
    value = row.get("t_map")
    return None if value is None else float(value)
