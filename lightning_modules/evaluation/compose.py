"""Composes a plan from fragments: ``include`` merges other YAML files into any mapping.

    include: [../attack/p2p.yaml, ../attack/dhta.yaml]     # at the top: whole fragments
    datasets:
      cifar10:
        include: ../data/cifar10.yaml#data                 # one key of a fragment
        init_args: {splits: {query: 500}}                  # what stands beside it wins

Paths are relative to the file that names them. Mappings are merged key by key, all else is replaced; where another
``class_path`` wins, the ``init_args`` of the old one go. Lists are taken as they are: an ``include`` inside one is not
followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml


def compose(paths: Iterable[str | Path]) -> dict[str, Any]:
    """Read plan files in order; later ones override earlier ones.

    Args:
        paths: YAML files of an evaluation plan.

    Returns:
        the merged plan without ``include``.

    Raises:
        ValueError: a file is missing, is no YAML mapping, lacks the key asked for, or includes itself.
    """
    plan: dict[str, Any] = {}
    for path in paths:
        plan = merge(plan, _load(Path(path), ()))
    return plan


def merge(base: Any, over: Any) -> Any:
    """Merge ``over`` into ``base``: mappings key by key, anything else is replaced by ``over``."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    if "class_path" in over and "class_path" in base and over["class_path"] != base["class_path"]:
        base = {key: value for key, value in base.items() if key != "init_args"}
    return base | {key: merge(base[key], value) if key in base else value for key, value in over.items()}


def _load(path: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    path = path.resolve()
    if path in chain:
        raise ValueError(f"{path.name} includes itself: {' -> '.join(one.name for one in (*chain, path))}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        named = f", included by {chain[-1]}" if chain else ""
        raise ValueError(f"config {path}{named}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"config {path}: not valid YAML ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"config {path}: expected a mapping, got {type(content).__name__}")
    resolved: dict[str, Any] = _resolve(content, path, (*chain, path))
    return resolved


def _resolve(node: Any, path: Path, chain: tuple[Path, ...]) -> Any:
    if not isinstance(node, dict):
        return node
    own = {key: _resolve(value, path, chain) for key, value in node.items() if key != "include"}
    references = node.get("include", [])
    base: Any = {}
    for reference in [references] if isinstance(references, str) else references:
        base = merge(base, _included(reference, path, chain))
    return merge(base, own)


def _included(reference: str, path: Path, chain: tuple[Path, ...]) -> Any:
    name, _, keys = reference.partition("#")
    content: Any = _load(path.parent / name, chain)
    for key in keys.split(".") if keys else ():
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"config {path}: include {reference!r} names a key that {name} does not have")
        content = content[key]
    return content
