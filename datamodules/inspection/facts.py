"""What a data set is, as data: where it comes from, how large it is, and what the checks found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface
from typing import runtime_checkable

from datamodules.base import RetrievalDataModule
from datamodules.catalogue import Catalogue
from datamodules.checks import Finding, count_items, in_order, protocol_sizes, run_checks, splits_of
from datamodules.local import LocalDataModule
from datamodules.manifest import text_fingerprint
from datamodules.splits import SPLIT_RULE

TERMS = {"layout": "layout", "label_source": "labels from", "split_source": "splits from"}
LISTED_AS_FINDING = "missing"


@runtime_checkable
class Catalogued(Interface):
    """A data module that parses files into a catalogue."""

    @property
    def catalogue_path(self) -> Path:
        """Where the catalogue is kept."""

    def read_catalogue(self) -> Catalogue:
        """Parse the files."""


@dataclass(frozen=True)
class SplitCount:
    """How many items a split has here, and in the paper (None: it says nothing)."""

    name: str
    here: int
    paper: int | None


@dataclass(frozen=True)
class DataFacts:
    """What a report says about a data set.

    Attributes:
        name: short name.
        num_classes: ``C``.
        entries: term and text: protocol, layout, sources of labels and splits, fingerprints, files, further facts.
        sizes: all items first, then one entry per split.
        findings: of the checks, errors first.
    """

    name: str
    num_classes: int
    entries: Mapping[str, str]
    sizes: tuple[SplitCount, ...]
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """Name, number of items and of classes, in one line."""
        return f"{self.name}: {self.sizes[0].here:,} items, {self.num_classes} classes"


def describe(module: RetrievalDataModule, more: Sequence[Finding] = ()) -> DataFacts:
    """Describe a data module that is set up, and check it.

    Args:
        module: the data module.
        more: findings from elsewhere, listed with those of the checks, unless they only repeat one.
    """
    checks = run_checks(module)
    new = [finding for finding in more if not any(check.message in finding.message for check in checks)]
    paper = protocol_sizes(module.protocol) if isinstance(module, LocalDataModule) else {}
    return DataFacts(
        name=module.dataset_name,
        num_classes=module.num_classes,
        entries={term: text for term, text in _entries(module).items() if text},
        sizes=tuple(SplitCount(name, size, paper.get(name)) for name, size in count_items(module).items()),
        findings=tuple(in_order([*checks, *new])),
    )


def _entries(module: RetrievalDataModule) -> dict[str, str]:
    facts = {"split_source": SPLIT_RULE, **module.source.facts}
    protocol = ""
    if isinstance(module, LocalDataModule):
        protocol = f"{module.protocol_name} ({module.protocol.source})"
    entries = {"protocol": protocol, **{term: facts.pop(name, "") for name, term in TERMS.items()}}
    entries |= {name.replace("_", " "): text for name, text in facts.items() if name != LISTED_AS_FINDING}
    return entries | {
        "fingerprint": module.fingerprint,
        "text fingerprint": text_fingerprint(module.source, splits_of(module)),
        "text features": module.text_title,
        "catalogue": str(module.catalogue_path) if isinstance(module, Catalogued) else "",
        "manifest": str(module.manifest_path),
    }
