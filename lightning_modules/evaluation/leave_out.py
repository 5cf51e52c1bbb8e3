"""What a command line takes out of a plan: ``--attacks.P2P null`` a row, ``--adaptive null`` a whole section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from lightning_modules.arguments import NULLS
from lightning_modules.evaluation.plan import CLEAN

AXES = ("datasets", "hashers", "attacks", "defences", "surrogates", "adaptive")
SECTIONS = (*AXES, "exclude", "transfer")


def leave_out(plan: Mapping[str, Any], args: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Take the entries and sections out of a plan that a command line sets to null.

    An attack also goes from every hasher that it was trained against; pairs of ``exclude`` and ``transfer`` go with the
    row or hasher that they name. Null of anything else, such as an option of an attack, is left to the parser.

    Args:
        plan: composed and expanded.
        args: arguments of the command line.

    Returns:
        the plan that is left, and the arguments without those that were followed.

    Raises:
        ValueError: the plan has no such entry.
    """
    names, rest = _nulls(plan, args)
    left = dict(plan)
    for section, name in names:
        if not name:
            left.pop(section, None)
            continue
        if name not in (known := _names(plan, section)):
            raise ValueError(f"--{section}.{name} null: the plan's {section} are {sorted(known) or 'none'}")
        left = _without(left, section, name)
    for section in ("exclude", "transfer"):
        if isinstance(left.get(section), list):
            gone = _pairs(plan, section) - _pairs(left, section)
            left[section] = [pair for pair in left[section] if pair not in gone]
    return left, rest


def _without(plan: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    """Return the plan without an entry; an attack also goes from the hashers."""
    left = dict(plan)
    if left.get(section):
        left[section] = _but(left[section], name)
    if section == "attacks" and left.get("hashers"):
        left["hashers"] = {
            hasher: {**entry, "attacks": _but(_trained(entry), name)} if name in _trained(entry) else entry
            for hasher, entry in left["hashers"].items()
        }
    return left


def _but(entries: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {other: entry for other, entry in entries.items() if other != name}


def _names(plan: Mapping[str, Any], section: str) -> list[str]:
    """Return the names of a section's entries; among attacks, those that were trained against a hasher."""
    names = [*(plan.get(section) or {})]
    if section == "attacks":
        names += [name for entry in (plan.get("hashers") or {}).values() for name in _trained(entry)]
    return names


def _trained(hasher: Any) -> Mapping[str, Any]:
    return (hasher.get("attacks") if isinstance(hasher, Mapping) else None) or {}


def _pairs(plan: Mapping[str, Any], section: str) -> set[str]:
    """Return every pair that the plan may exclude or transfer, as ``EvaluationPlan`` reads them."""
    if section == "transfer":
        return {"/".join(pair) for pair in permutations(_names(plan, "hashers"), 2)}
    attacks = [CLEAN, *_names(plan, "attacks"), *_names(plan, "adaptive")]
    return {f"{attack}/{defence}" for attack in attacks for defence in (CLEAN, *_names(plan, "defences"))}


def _nulls(plan: Mapping[str, Any], args: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return ``(section, name)`` of what is set to null, the name empty for all of it, and the other arguments."""
    names: list[tuple[str, str]] = []
    rest: list[str] = []
    for argument in args:
        option, equals, value = argument.rpartition("=")
        if value in NULLS and equals and (found := _entry(plan, option)):
            names.append(found)
        elif argument in NULLS and rest and (found := _entry(plan, rest[-1])):
            names.append(found)
            rest.pop()
        else:
            rest.append(argument)
    return names, rest


def _entry(plan: Mapping[str, Any], option: str) -> tuple[str, str] | None:
    """Read ``--section`` or ``--section.name``; None for all other options, those of an entry included."""
    section, _, name = option.removeprefix("--").partition(".")
    if not option.startswith("--") or section not in SECTIONS or (name and section not in AXES):
        return None
    return (section, name) if "." not in name or name in _names(plan, section) else None
