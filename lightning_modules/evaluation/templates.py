"""Templates of a plan: one entry per row of a list, and variables in braces.

    variables: {runs: runs/paper, models: "{runs}/models"}
    each:
      - {dataset: FLICKR-25K, method: DPSH, loss: dpsh}
      - {dataset: FLICKR-25K, method: DPH, loss: dph_l2}
    entry:                                                    # merged into the plan, once per row
      hashers:
        "{dataset} {method}": {dataset: "{dataset}", checkpoint: "{models}/{dataset}/{method}.ckpt"}

``each`` and ``entry`` may stand in any mapping; what stands beside them wins. A text that is one variable alone takes
its value with its type. Variables may hold others; a row's win over the plan's.
``select: [FLICKR-25K, DPSH]`` keeps the rows that hold all of these values; numbers are compared as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_modules.evaluation.compose import merge

NAME = re.compile(r"\{(\w+)\}")
VARIABLES, EACH, ENTRY, SELECT = "variables", "each", "entry", "select"


def select(plan: Mapping[str, Any], values: Sequence[str]) -> dict[str, Any]:
    """Keep the rows of the plan's list that hold all of these values, and all that the plan's own ``select`` names.

    Args:
        plan: with ``each`` at its top.
        values: e.g. the name of a data set, of a method.

    Raises:
        ValueError: the plan has no list of rows, or no row holds the values.
    """
    rest = {key: value for key, value in plan.items() if key != SELECT}
    wanted = [str(value) for value in (*plan.get(SELECT, ()), *values)]
    if not wanted:
        return rest
    rows = plan.get(EACH) or []
    kept = [row for row in rows if set(wanted) <= _values(row)]
    if not kept:
        known = sorted(set().union(*map(_values, rows)))
        raise ValueError(f"no row of the plan holds {', '.join(wanted)}; its rows (`each`) hold {known}")
    return {**rest, EACH: kept}


def _values(row: Mapping[str, Any]) -> set[str]:
    return {str(value) for value in row.values()}


def at_scale(plan: Mapping[str, Any], scale: str | None) -> dict[str, Any]:
    """Merge one of the plan's ``scales`` over it; None takes the plan as it is.

    Raises:
        ValueError: the plan has no such scale.
    """
    scales = plan.get("scales", {})
    rest = {key: value for key, value in plan.items() if key != "scales"}
    if scale is None:
        return rest
    if scale not in scales:
        raise ValueError(f"--data-scale {scale}: the plan offers {sorted(scales) or 'none'}")
    scaled: dict[str, Any] = merge(rest, scales[scale])
    return scaled


def expand(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Fill a composed plan's templates in.

    A plan without ``variables`` and without any ``each`` is returned as it is: its braces are text.

    Raises:
        ValueError: an unknown variable, one that holds itself, or ``each`` without ``entry``.
    """
    if VARIABLES not in plan and not _has_rows(plan):
        return dict(plan)
    rest = {key: value for key, value in plan.items() if key != VARIABLES}
    filled: dict[str, Any] = _fill(rest, plan.get(VARIABLES) or {})
    return filled


def _has_rows(node: Any) -> bool:
    match node:
        case dict():
            return EACH in node or any(map(_has_rows, node.values()))
        case list():
            return any(map(_has_rows, node))
        case _:
            return False


def _fill(node: Any, variables: Mapping[str, Any]) -> Any:
    match node:
        case str():
            return _text(node, variables, ())
        case list():
            return [_fill(one, variables) for one in node]
        case dict():
            return _mapping(node, variables)
        case _:
            return node


def _mapping(node: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    own = {_fill(key, variables): _fill(value, variables) for key, value in node.items() if key not in (EACH, ENTRY)}
    if EACH not in node:
        return own if ENTRY not in node else merge(_fill(node[ENTRY], variables), own)
    if ENTRY not in node:
        raise ValueError("a plan's `each` needs an `entry` beside it: what to make of a row")
    made: Any = {}
    for row in node[EACH]:
        made = merge(made, _fill(node[ENTRY], {**variables, **row}))
    return merge(made, own)


def _text(text: str, variables: Mapping[str, Any], chain: tuple[str, ...]) -> Any:
    def value(name: str) -> Any:
        if name in chain:
            raise ValueError(f"variable {{{name}}} of the plan holds itself: {' -> '.join((*chain, name))}")
        if name not in variables:
            raise ValueError(f"{text!r} names the variable {{{name}}}, the plan has {sorted(variables)}")
        found = variables[name]
        return _text(found, variables, (*chain, name)) if isinstance(found, str) else found

    if whole := NAME.fullmatch(text):
        return value(whole[1])
    return NAME.sub(lambda found: str(value(found[1])), text)
