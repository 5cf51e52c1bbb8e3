"""The facts of a data set as plain text, for a terminal."""

from __future__ import annotations

from datamodules.checks import Finding
from datamodules.inspection.facts import DataFacts

MOST_IDS = 10


def printable(text: str) -> str:
    """Replace control characters, with which names and captions could steer a terminal; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def shown_ids(ids: tuple[str, ...], most: int) -> str:
    """Return the first ids, and how many are left out."""
    rest = len(ids) - most
    return ", ".join(ids[:most]) + (f", ... ({rest:,} more)" if rest > 0 else "")


def render_finding(finding: Finding) -> str:
    """Return a finding with its first ids."""
    ids = f": {shown_ids(finding.ids, MOST_IDS)}" if finding.ids else ""
    return printable(f"{finding.level}: {finding.message}{ids}")


def render_text(facts: DataFacts) -> str:
    """Return title, facts, sizes beside the paper's, and findings."""
    width = max(map(len, facts.entries))
    lines = [facts.title, ""]
    lines += [f"  {term:<{width}}  {text}" for term, text in facts.entries.items()]
    lines += ["", f"  {'':<9}{'here':>10}{'paper':>10}"]
    for size in facts.sizes:
        paper = "-" if size.paper is None else f"{size.paper:,}"
        lines.append(f"  {size.name:<9}{size.here:>10,}{paper:>10}")
    lines += ["", *map(render_finding, facts.findings)] if facts.findings else ["", "nothing to report"]
    return printable("\n".join(lines))
