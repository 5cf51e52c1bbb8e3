"""Ours beside the paper's: every scored cell that a table of the paper prints a figure of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_modules.evaluation.paper.figures import read_figures
from lightning_modules.evaluation.report.paper_table import Comparison
from lightning_modules.evaluation.report.scores import COLUMN, score_title


@dataclass(frozen=True)
class PaperReference:
    """Which printed figures the rows of an evaluation stand for. Data sets and attacks are named as in the paper.

    Attributes:
        tables: numbers of the tables, e.g. ``[1]``; none compares nothing.
        columns: what a column of ``results.json`` is in the paper, e.g. ``t_map_hits50_i2t: I2T T-MAP``. Several
            conventions of MAP may stand for one printed figure where the paper does not say which it used.
        hashers: the method that a hasher of the plan is, as the table's head names it; by default its own name.
        defences: the printed row that a defence of the plan stands for; by default its own name.

    Raises:
        ValueError: a table, column, hasher or defence that the paper does not have.
    """

    tables: list[int] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    hashers: dict[str, str] = field(default_factory=dict)
    defences: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = read_figures()
        for table in self.tables:
            _check(str(table), {one.table for one in known}, "tables")
        found = [one for one in known if one.table in set(map(str, self.tables))] or known
        for column, name in self.columns.items():
            _check(name, {one.column for one in found}, f"columns.{column}")
            if COLUMN.fullmatch(column) is None:
                raise ValueError(f"paper.columns: {column!r} is no score, expected a name such as map or t_map_i2t")
        for name, method in self.hashers.items():
            _check(method, {one.hasher for one in found}, f"hashers.{name}")
        for name, row in self.defences.items():
            _check(row, {one.defence for one in found}, f"defences.{name}")


def _check(value: str, known: set[str], option: str) -> None:
    if value not in known:
        raise ValueError(f"paper.{option}: {value!r} stands nowhere in the paper's tables, expected {sorted(known)}")


def compare(rows: Sequence[dict[str, Any]], reference: PaperReference) -> list[Comparison]:
    """Set the rows of ``results.json`` beside the printed figures.

    Rows that failed, of transferred attacks, or without a printed counterpart are left out.

    Args:
        rows: what an evaluation found, fractions.
        reference: what its names mean in the paper.

    Returns:
        table by table, in the order of the rows and of the reference's columns.
    """
    printed = {(one.table, *one.cell, one.column): one for one in read_figures()}
    found = []
    for table in map(str, reference.tables):
        for row in rows:
            if "error" in row or row["source_hasher"] != row["hasher"]:
                continue
            method = reference.hashers.get(row["hasher"], row["hasher"])
            defence = reference.defences.get(row["defence"], row["defence"])
            for column, name in reference.columns.items():
                figure = printed.get((table, row["dataset"], method, row["attack"], defence, name))
                if figure is not None and row.get(column) is not None:
                    found.append(_comparison(row, column, table, figure.percent, figure.note))
    return found


def _comparison(row: dict[str, Any], column: str, table: str, printed: float, note: str) -> Comparison:
    chance = row.get(f"chance_{_without_direction(column)}")
    return Comparison(
        table=table,
        **{name: row[name] for name in ("dataset", "hasher", "attack", "defence")},
        score=score_title(column),
        ours=100 * row[column],
        low=100 * row[f"{column}_low"],
        high=100 * row[f"{column}_high"],
        printed=printed,
        chance=None if chance is None else 100 * chance,
        note=note,
    )


def _without_direction(column: str) -> str:
    """Return the part of a column's name that its chance level depends on: pairs share their labels."""
    found = COLUMN.fullmatch(column)
    direction = found["direction"] if found else None
    return column.removesuffix(f"_{direction}") if direction else column
