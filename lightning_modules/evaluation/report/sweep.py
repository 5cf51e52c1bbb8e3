"""Rows that differ in one option of their defence: quality over T_p, over network calls, over the guidance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from lightning_modules.evaluation.report.model import Row

FEWEST_VALUES = 3  # two settings are a comparison, no sweep
# Options of a purifier that may be swept, and what the axis says.
SWEPT = {
    "purify_steps": "T_p, steps to diffuse and denoise",
    "calls": "network calls per image",
    "scale": "guidance scale s",
    "pull": "pull K of the guidance",
}
SYMBOLS = {"purify_steps": "T_p", "calls": "calls", "scale": "s", "pull": "K"}


@dataclass(frozen=True)
class Sweep:
    """One option, and rows in which only that option differs.

    Attributes:
        option: name among ``SWEPT``.
        values: of the option, ascending.
        rows: attack to one row per value, None where there is none.
        fixed: the values of the other options among ``SWEPT``, which tell two sweeps of one option apart.
    """

    option: str
    values: tuple[float, ...]
    rows: dict[str, tuple[Row | None, ...]]
    fixed: dict[str, float]

    @property
    def caption(self) -> str:
        """What differs, and at which values of the other options."""
        fixed = ", ".join(f"{SYMBOLS[name]} = {value:,g}" for name, value in self.fixed.items())
        return f"Over {SYMBOLS[self.option]}" + (f" at {fixed}" if fixed else "")


def find_sweeps(rows: Sequence[Row]) -> list[Sweep]:
    """Find every option of which at least three values appear in rows that are otherwise alike.

    Args:
        rows: of one data set and hasher. Those with ``defence_options`` (the defence's) and ``defence_facts``
            (``network_calls`` among them) are of purifiers; others are passed over.

    Returns:
        one sweep per option and set of other options, in the order of ``SWEPT``.
    """
    purified = [row for row in rows if "network_calls" in (row.get("defence_facts") or {})]
    sweeps = []
    for option in SWEPT:
        families: dict[str, dict[float, dict[str, Row]]] = {}
        for row in purified:
            value = _value(row, option)
            if value is not None:
                family = families.setdefault(_others(row, option), {})
                family.setdefault(value, {}).setdefault(str(row["attack"]), row)
        sweeps += [_sweep(option, family) for family in families.values() if len(family) >= FEWEST_VALUES]
    return sweeps


def _sweep(option: str, family: dict[float, dict[str, Row]]) -> Sweep:
    values = tuple(sorted(family))
    attacks = dict.fromkeys(attack for value in values for attack in family[value])
    by_attack = {attack: tuple(family[value].get(attack) for value in values) for attack in attacks}
    return Sweep(option, values, by_attack, _fixed(option, next(iter(family[values[0]].values()))))


def _fixed(option: str, row: Row) -> dict[str, float]:
    """Return the values of the other swept options of a row; a pull, where there is one, decides s."""
    options = row["defence_options"]
    pulled = option == "pull" or options.get("pull") is not None
    names = [name for name in SWEPT if name != option and not (name == "scale" and pulled)]
    return {name: float(options[name]) for name in names if options.get(name) is not None}


def _value(row: Row, option: str) -> float | None:
    found = row["defence_facts"]["network_calls"] if option == "calls" else row["defence_options"].get(option)
    return None if found is None else float(found)


def _others(row: Row, option: str) -> str:
    """Name what must be equal in a sweep of ``option``: all other options."""
    hidden = {option, "timesteps"} if option == "calls" else {option}
    kept = {name: value for name, value in row["defence_options"].items() if name not in hidden}
    return json.dumps(kept, sort_keys=True, default=str)
