"""What a command line takes out of a plan: ``--attacks.P2P null`` a row, ``--adaptive null`` a whole section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_modules.arguments import NULLS

AXES = ("datasets", "hashers", "attacks", "defences", "surrogates", "adaptive")
SECTIONS = (*AXES, "exclude", "transfer")


def leave_out(plan: Mapping[str, Any], args: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Take the entries and sections out of a plan that a command line sets to null.

    Pairs of ``exclude`` go with the row that they name. Null of anything else, such as an option of an attack, is left
    to the parser.

    Args:
        plan: composed and expanded.
        args: arguments of the command line.

    Returns:
        the plan that is left, and the arguments without those that were followed.

    Raises:
        ValueError: the plan has no such entry.
    """
    names, rest = _nulls(plan, args)
    left = {section: dict(entries) if isinstance(entries, Mapping) else entries for section, entries in plan.items()}
    gone: set[str] = set()
    for section, name in names:
        if not name:
            left.pop(section, None)
            continue
        known = plan.get(section) or {}
        if name not in known:
            raise ValueError(f"--{section}.{name} null: the plan's {section} are {sorted(known) or 'none'}")
        left.get(section, {}).pop(name, None)
        gone.add(name)
    if gone and left.get("exclude"):
        left["exclude"] = [pair for pair in left["exclude"] if gone.isdisjoint(pair.partition("/"))]
    return left, rest


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
    return (section, name) if "." not in name or name in (plan.get(section) or {}) else None
