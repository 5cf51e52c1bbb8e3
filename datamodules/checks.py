"""Build checks: what is wrong with a data set and its splits, or worth knowing about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datamodules.base import RetrievalDataModule
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol
from datamodules.splits import SPLIT_NAMES, Splits

PARTS = ("database", "train", "val", "query")  # in the order of reports
Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        level: ``error`` makes results meaningless, ``warning`` makes them differ from published ones, ``note``
            is worth knowing.
        message: one sentence, without the ids.
        ids: all items, photographs, classes or paths concerned.
    """

    level: Level
    message: str
    ids: tuple[str, ...] = ()


def check_overlap(splits: Splits, ids: Sequence[str], keys: Sequence[str] | None = None) -> list[Finding]:
    """Look for items that are queries and in the database, or validation and training items.

    Args:
        splits: rows.
        ids: ids of all rows.
        keys: names of the photographs, where two items may show the same one.
    """
    found = []
    for name, other in (("query", "database"), ("val", "train")):
        both = np.intersect1d(splits[name], splits[other])
        found += _about("error", ids, both, f"{name} item", f"also in split {other!r}")
    if keys is not None:
        stored = {keys[row]: row for row in splits.database}
        twice = [row for row in splits.query if stored.get(keys[row], row) != row]
        found += _about("error", ids, twice, "query photograph", "also in the database under another id")
    return found


def check_training(splits: Splits, ids: Sequence[str]) -> list[Finding]:
    """Look for training and validation items outside the database, and for repeated lines of the training list."""
    found = []
    for name in ("train", "val"):
        outside = np.setdiff1d(splits[name], splits.database)
        found += _about("error", ids, outside, f"{name} item", "outside the database")
    rows, counts = np.unique(splits.train, return_counts=True)
    extra = plural(int((counts - 1).sum()), "extra line")
    return found + _about("note", ids, rows[counts > 1], "item", f"repeated in the training list ({extra})")


def check_labels(labels: np.ndarray, class_names: Sequence[str], ids: Sequence[str], splits: Splits) -> list[Finding]:
    """Look for labels of another width or range, items without a label, and classes without an item.

    Args:
        labels: ``(n, C)`` multi-hot.
        class_names: ``C`` names.
        ids: ids of all rows.
        splits: rows.
    """
    expected = len(ids), len(class_names)
    if labels.shape != expected:
        return [Finding("error", f"labels are {labels.shape}, expected {expected}: items and classes")]
    strange = np.flatnonzero((labels > 1).any(axis=1))
    found = _about("error", ids, strange, "item", "with labels other than 0 and 1")
    bare = np.flatnonzero(~labels.any(axis=1))
    queries, training = (len(np.intersect1d(bare, splits[name])) for name in ("query", "train"))
    among = f"without a label, which no query finds ({queries} of the queries, {training} of the training items)"
    found += _about("warning" if queries else "note", ids, bare, "item", among)
    for name in ("database", "query"):
        empty = np.flatnonzero(~labels[splits[name]].any(axis=0))
        found += _about("note", class_names, empty, "class", f"of {len(class_names)} without a {name} item")
    return found


def protocol_sizes(protocol: Protocol) -> dict[str, int]:
    """Return the paper's number of items, and of those in each split that it speaks of."""
    sizes = protocol.sizes
    total = protocol.items or None  # 0: any number
    rest = total - sizes.query if total is not None and sizes.query is not None else None
    named = {
        "items": total,
        "train": sizes.train,
        "query": sizes.query,
        "database": rest if sizes.database is None else sizes.database,
    }
    return {name: size for name, size in named.items() if size is not None}


def check_sizes(here: Mapping[str, int], protocol: Protocol, name: str) -> list[Finding]:
    """Compare the numbers of items with the protocol's.

    Args:
        here: numbers of ``items``, ``train``, ``query`` and ``database``.
        protocol: with the paper's numbers.
        name: of data set and protocol.
    """
    return [
        Finding(
            "warning",
            f"{here[part]} {'items' if part == 'items' else f'{part} items'}, the protocol {name} has {size} "
            f"({protocol.source})",
        )
        for part, size in protocol_sizes(protocol).items()
        if here[part] != size
    ]


def check_missing(facts: Mapping[str, str]) -> list[Finding]:
    """Report the pictures that were left out because they are not there."""
    gone = [path for path in facts.get("missing", "").split("\n") if path]
    return _about("warning", gone, range(len(gone)), "picture", "missing and left out")


def splits_of(module: RetrievalDataModule) -> Splits:
    """Return the splits of a data module that is set up."""
    return Splits(**{name: module.rows(name) for name in SPLIT_NAMES})


def count_items(module: RetrievalDataModule) -> dict[str, int]:
    """Return the number of items in all and in each split, the database first."""
    return {"items": len(module.source.ids), **{name: len(module.rows(name)) for name in PARTS}}


def run_checks(module: RetrievalDataModule) -> list[Finding]:
    """Run all checks on a data module that is set up; errors come first, notes last."""
    source, splits = module.source, splits_of(module)
    found = check_overlap(splits, source.ids, source.keys) + check_training(splits, source.ids)
    if isinstance(module, LocalDataModule):
        found += check_sizes(count_items(module), module.protocol, module.protocol_name)
    found += check_missing(source.facts) + check_labels(source.labels, source.class_names, source.ids, splits)
    return in_order(found)


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Sort by level, errors first, and else leave the order as it is."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count} {noun}{ending}"


def _about(level: Level, names: Sequence[str], positions: Iterable[int], noun: str, what: str) -> list[Finding]:
    """Return a finding about some of the names, or none if there are no positions."""
    ids = tuple(names[position] for position in positions)
    return [Finding(level, f"{plural(len(ids), noun)} {what}", ids)] if ids else []
