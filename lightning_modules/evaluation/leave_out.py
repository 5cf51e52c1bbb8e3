"""What a command line takes out of a plan: ``--attacks.P2P null`` a row, ``--adaptive null`` a whole section.

``--hashers.NAME.attacks null`` takes out the attacks that were trained against one hasher, and ``--attacks null`` all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from lightning_modules.arguments import NULLS
from lightning_modules.evaluation.plan import CLEAN

AXES = ("datasets", "hashers", "attacks", "defences", "surrogates", "adaptive")
SECTIONS = (*AXES, "exclude", "transfer")
TRAINED = ".attacks"  # after the name of a hasher: the attacks that were trained against it


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
        known = _names(plan, section)
        if not name:
            left = _without_section(left, section)
        elif name in known:
            left = _without(left, section, name)
        elif section == "hashers" and name.removesuffix(TRAINED) in known:
            left = _untrained(left, [name.removesuffix(TRAINED)])
        else:
            raise ValueError(f"--{section}.{name} null: the plan's {section} are {sorted(known) or 'none'}")
    for section in ("exclude", "transfer"):
        if isinstance(left.get(section), list):
            gone = _pairs(plan, section) - _pairs(left, section)
            left[section] = [pair for pair in left[section] if pair not in gone]
    return left, rest


def _without_section(plan: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return the plan without a section; all attacks also go from the hashers."""
    left = _but(plan, section)
    return _untrained(left, _names(left, "hashers")) if section == "attacks" and left.get("hashers") else left


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


def _untrained(plan: Mapping[str, Any], hashers: Sequence[str]) -> dict[str, Any]:
    """Return the plan without the attacks that were trained against some hashers."""
    entries = {
        name: _but(entry, "attacks") if name in hashers and isinstance(entry, Mapping) else entry
        for name, entry in (plan.get("hashers") or {}).items()
    }
    return {**plan, "hashers": entries}


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
    trained = section == "hashers" and name.removesuffix(TRAINED) in _names(plan, section)
    return (section, name) if "." not in name or trained or name in _names(plan, section) else None
