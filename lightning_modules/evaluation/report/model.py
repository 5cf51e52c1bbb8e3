"""What a report holds: frozen, validated once, and the few questions its writers ask of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.evaluation.report.paper_table import Comparison

Row = Mapping[str, Any]
RowKey = tuple[str, str, str, str, str]
Curve = tuple[NDArray[np.floating], NDArray[np.floating]]
CaptionedPicture = tuple[str, str, NDArray[np.uint8]]
RetrievalExample = tuple[str, Sequence[CaptionedPicture]]

NAMES = ("dataset", "hasher", "attack", "defence")
REQUIRED = (*NAMES, "map", "num_queries", "seed")
FRACTIONS = (
    "map",
    "map_low",
    "map_high",
    "t_map",
    "t_map_low",
    "t_map_high",
    "anchor_map",
    "anchor_t_map",
    "chance_map",
    "chance_t_map",
    "rmse",
    "mean_rmse",
)
AMOUNTS = ("bits_flipped", "num_queries", "seconds", "seconds_attack", "seconds_defence", "linf", "psnr")
LOWEST = {"ssim": -1.0}

# Columns of both kinds of table: title, field, decimals.
Columns = tuple[tuple[str, str, int], ...]
FIGURES: Columns = (
    ("Anchor MAP", "anchor_map", 3),
    ("Anchor T-MAP", "anchor_t_map", 3),
    ("Chance MAP", "chance_map", 3),
    ("Chance T-MAP", "chance_t_map", 3),
    ("Bits flipped", "bits_flipped", 1),
    ("Queries", "num_queries", 0),
    ("Attack, s/image", "seconds_attack", 3),
    ("Defence, s/image", "seconds_defence", 3),
)
DISTORTIONS: Columns = (
    ("L∞, 1/255", "linf", 1),
    ("RMSE", "rmse", 4),
    ("Mean RMSE", "mean_rmse", 4),
    ("SSIM", "ssim", 4),
    ("PSNR, dB", "psnr", 1),
)


def attack_label(row: Row) -> str:
    """Return the attack's name, with the hasher that it was crafted on if that is another one."""
    source = row.get("source_hasher")
    return str(row["attack"]) if source in (None, row["hasher"]) else f"{row['attack']} from {source}"


def row_key(row: Row) -> RowKey:
    """Return what identifies a row: ``(dataset, hasher, attack, defence, seed)``, as strings."""
    return str(row["dataset"]), str(row["hasher"]), attack_label(row), str(row["defence"]), str(row["seed"])


def numbers(row: Row, columns: Columns) -> list[str]:
    """Print the row's numbers of these columns, an absent one as a dash."""
    return [number(row.get(name), digits) for _, name, digits in columns]


def distorted(rows: Sequence[Row]) -> list[Row]:
    """Return one row per attack and seed that tells what it changed; what a defence does is another matter."""
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        if any(row.get(name) is not None for _, name, _ in DISTORTIONS):
            first.setdefault((attack_label(row), str(row["seed"])), row)
    return list(first.values())


@dataclass(frozen=True, eq=False)
class Report:
    """Everything one report shows.

    Attributes:
        title: of the report, one line.
        rows: one mapping per evaluated combination, at least one. ``dataset``, ``hasher``, ``attack`` and ``defence``
            are names (``none`` for no attack and no defence); ``map``, ``map_low``, ``map_high``, ``t_map``,
            ``t_map_low``, ``t_map_high``, ``anchor_map``, ``anchor_t_map``, ``chance_map``, ``chance_t_map`` are
            fractions in [0, 1]; ``bits_flipped`` is a mean over queries; ``num_queries``, ``seed``, ``seconds`` speak
            for themselves, ``seconds_attack`` and ``seconds_defence`` are per image; ``linf`` is the largest absolute
            change in units of 1/255, ``rmse`` the root mean squared change of all images in [0, 1], ``mean_rmse`` the
            mean of each image's; ``ssim`` lies in [-1, 1], ``psnr`` is in dB. ``source_hasher`` is what the attack was
            crafted on, if not the hasher. The names, ``map``, ``num_queries`` and ``seed`` are required, all else may
            be None or absent.
        curves: ``row_key(row)`` to ``(recall, precision)``, each float ``(n,)`` in [0, 1].
        strips: ``(caption, alt, picture)`` of samples, uint8 ``(H, W, 3)`` of five panels of equal width:
            original | attacked | purified | attacked - original | purified - original.
        flips: ``row_key(row)`` to float ``(K,)``, the share of queries in which each bit differs from the code of the
            clean picture.
        retrieval: ``(caption, lists)`` per query, each list a ``(caption, alt, picture)``: before and after.
        trajectory: uint8 ``(H, W, 3)`` of one purification, or None.
        facts: name to text: data fingerprint, metric definition, chance levels, seeds, command, versions.
        summary: one sentence; empty for one derived from the rows.
        comparisons: ours beside printed figures.
    """

    title: str
    rows: Sequence[Row]
    curves: Mapping[RowKey, Curve] = field(default_factory=dict)
    strips: Sequence[CaptionedPicture] = ()
    flips: Mapping[RowKey, NDArray[np.floating]] = field(default_factory=dict)
    retrieval: Sequence[RetrievalExample] = ()
    trajectory: NDArray[np.uint8] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    comparisons: Sequence[Comparison] = ()

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
        for key, flips in self.flips.items():
            if key not in keys:
                raise ValueError(f"no row has the key {key} of flipped bits")
            share = np.asarray(flips)
            if share.ndim != 1 or share.size == 0 or not ((share >= 0) & (share <= 1)).all():
                raise ValueError(f"flipped bits {key} need a share in [0, 1] per bit, got shape {share.shape}")


def _check_row(row: Row) -> None:
    """Raise unless the row has what a row needs and its numbers lie where they belong."""
    missing = [name for name in REQUIRED if row.get(name) is None]
    if missing:
        raise ValueError(f"a row lacks {', '.join(missing)}: {dict(row)}")
    for name in (*FRACTIONS, *LOWEST, *AMOUNTS):
        value = row.get(name)
        if value is None:
            continue
        least, most = LOWEST.get(name, 0.0), math.inf if name in AMOUNTS else 1.0
        if not (math.isfinite(value) and least <= value <= most):
            raise ValueError(f"{name} of row {row_key(row)} must lie in [{least:g}, {most:g}], got {value}")
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
        key = tuple(attack_label(row) if name == "attack" else str(row[name]) for name in names)
        groups.setdefault(key, []).append(row)
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
        f"{place}, {attack_label(worst)} moves T-MAP from {number(_t(clean))} to {number(_t(worst))} "
        f"and MAP from {number(clean['map'])} to {number(worst['map'])}"
    )
    rivals = [row for row in rows if attack_label(row) == attack_label(worst) and row["defence"] != "none"]
    if rivals:
        best = max(rivals, key=lambda row: float(row["map"]))
        stands = f"T-MAP {number(_t(best))} and MAP {number(best['map'])}"
        text += f"; behind {best['defence']} the system stands at {stands}"
    return f"{text}."


def _t(row: Row) -> float | None:
    """Return the row's T-MAP, if it has one."""
    value = row.get("t_map")
    return None if value is None else float(value)
