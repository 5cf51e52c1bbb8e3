"""Arguments of the command lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

# An argument of a class's constructor; those of a list of classes, callbacks, are not named by keys alone.
OF_A_CLASS = re.compile(r"--(?!trainer\.)(\S+\.init_args\.[^\s=]+)")
NULLS = ("null", "~")


def nulls_as_configs(args: Sequence[str]) -> list[str]:
    """Spell every null of a class's argument as a configuration: ``--data.init_args.splits.train null``.

    jsonargparse hands such values on as Python prints them. Null arrives as the word ``None``, which an option of
    numbers refuses and an option of names takes for one. A configuration of the same content arrives as it is, and
    later ones win, as later options do.

    Args:
        args: arguments of a command line, with ``--config``.
    """
    joined: list[str] = []
    for argument in args:
        if argument in NULLS and joined and OF_A_CLASS.fullmatch(joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return [part for argument in joined for part in _spell(argument)]


def _spell(argument: str) -> list[str]:
    name, _, value = argument.partition("=")
    found = OF_A_CLASS.fullmatch(name)
    if found is None or value not in NULLS:
        return [argument]
    content: Any = None
    for key in reversed(found[1].split(".")):
        content = {key: content}
    return ["--config", yaml.safe_dump(content, default_flow_style=True).strip()]
