"""The inspection page: one HTML file, offline, without scripts, for light and dark, for desks and phones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from datamodules.base import RetrievalDataModule
from datamodules.checks import LEVELS, PARTS, Finding, plural
from datamodules.inspection.facts import DataFacts, SplitCount
from datamodules.inspection.samples import THUMBNAIL, TINY, Sample, draw_samples
from datamodules.inspection.statistics import (
    Chance,
    Counts,
    chance_level,
    class_frequencies,
    labels_per_item,
)
from datamodules.inspection.style import STYLE
from datamodules.inspection.text import shown_ids
from datamodules.source import DataError

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
PART_TITLES = {"database": "database", "train": "training", "val": "validation", "query": "queries"}
ROWS_PER_COLUMN, MOST_COLUMNS = 12, 3
MOST_IDS, MOST_TEXT = 40, 180


@dataclass(frozen=True, eq=False)
class Inspection:
    """Everything that the page shows."""

    facts: DataFacts
    classes: Counts
    labels: Counts
    chance: Chance
    samples: tuple[Sample, ...]


def inspect_module(module: RetrievalDataModule, facts: DataFacts) -> Inspection:
    """Gather what the page shows of a data module that is set up."""
    return Inspection(
        facts, class_frequencies(module), labels_per_item(module), chance_level(module), draw_samples(module)
    )


def write_page(inspection: Inspection, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # "replace": a file name that is no Unicode arrives as lone surrogates
        partial.write_bytes(render_page(inspection).encode("utf-8", "replace"))
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"{path}: the page cannot be written ({error.strerror or error})") from error
    finally:
        if partial.exists():
            partial.unlink()


def render_page(inspection: Inspection) -> str:
    """Return the page; the same for the same data, whenever it is made."""
    facts = inspection.facts
    sections = (
        ("splits", "Splits", _splits(facts.sizes, inspection.chance)),
        ("findings", "Findings", _findings(facts.findings)),
        ("classes", "Classes", _classes(inspection.classes)),
        ("labels", "Labels per item", _labels(inspection.labels)),
        ("pictures", "Pictures", _samples(inspection.samples)),
    )
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{title}</h2>{content}</section>' for name, title, content in sections)
    title = escape(facts.name)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{title}</title><style>{STYLE}</style></head>'
        f'<body><header><h1>{title}</h1><p class="lead">{escape(lead(facts))}</p>{_entries(facts)}'
        f'<nav aria-label="Sections">{links}</nav></header><main>{body}</main></body></html>\n'
    )


def lead(facts: DataFacts) -> str:
    """Say in two sentences what the data set is."""
    counts = {level: sum(finding.level == level for finding in facts.findings) for level in LEVELS}
    found = ", ".join(plural(count, level) for level, count in counts.items() if count) or "nothing"
    return f"{facts.sizes[0].here:,} items in {facts.num_classes} classes. The checks found {found}."


def shorten(text: str, most: int) -> str:
    """Cut ``text`` to at most ``most`` characters, marking the cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _splits(sizes: Sequence[SplitCount], chance: Chance) -> str:
    rows = []
    for size in sizes:
        paper = "–" if size.paper is None else f"{size.paper:,}"  # noqa: RUF001 (an en dash: nothing there)
        style = ' class="differs"' if size.paper not in (None, size.here) else ""
        name = "all items" if size.name == "items" else PART_TITLES[size.name]
        rows.append(f'<tr><th scope="row">{name}</th><td{style}>{size.here:,}</td><td>{paper}</td></tr>')
    heads = '<tr><th scope="col">Items</th><th scope="col">here</th><th scope="col">paper</th></tr>'
    table = f'<table class="sizes"><thead>{heads}</thead><tbody>{"".join(rows)}</tbody></table>'
    note = "Training and validation items are parts of the database; queries are not."
    return f'<p>{note}</p><div class="pair">{table}{_chance(chance)}</div>'


def _chance(chance: Chance) -> str:
    t_map = "–" if chance.t_map is None else f"{chance.t_map:.4f}"  # noqa: RUF001
    about = "the same for target labels drawn with seed 0, one for each query"
    return (
        f'<dl class="scores"><div><dt>Chance MAP</dt><dd><b>{chance.map:.4f}</b>'
        "what a random ranking of the database scores for the queries</dd></div>"
        f"<div><dt>Chance T-MAP</dt><dd><b>{t_map}</b>{escape(chance.trouble or about)}</dd></div></dl>"
    )


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>Nothing to report.</p>"
    items = []
    for finding in findings:
        ids = f"<small>{escape(shown_ids(finding.ids, MOST_IDS))}</small>" if finding.ids else ""
        items.append(
            f'<li class="{finding.level}"><strong>{finding.level}</strong>'
            f"<div>{escape(finding.message)}{ids}</div></li>"
        )
    return f'<ul class="findings">{"".join(items)}</ul>'


def _bars(counts: Counts, what: str) -> str:
    """Return tables of numbers on bars, side by side; the longest bar is the largest share of any split."""
    shares = counts.shares / max(float(counts.shares.max(initial=0)), 1e-12)
    rows = []
    for kind, numbers, lengths in zip(counts.kinds, counts.numbers.tolist(), shares.tolist(), strict=True):
        cells = "".join(
            f'<td class="{part}" style="--share:{length:.3f}">{number:,}</td>'
            for part, number, length in zip(PARTS, numbers, lengths, strict=True)
        )
        rows.append(f'<tr><th scope="row">{escape(kind)}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{title}</th>' for title in (what, *PARTS))
    columns = min(MOST_COLUMNS, -(-len(rows) // ROWS_PER_COLUMN)) or 1
    height = -(-len(rows) // columns)
    blocks = [rows[start : start + height] for start in range(0, len(rows), max(height, 1))]
    tables = "".join(
        f'<table class="bars"><thead><tr>{head}</tr></thead><tbody>{"".join(block)}</tbody></table>' for block in blocks
    )
    return f'<div class="columns">{tables}</div>'


def _classes(counts: Counts) -> str:
    note = "Items of each class, most frequent first. The length of a bar is the share of the items of its split."
    return f"<p>{note}</p>{_bars(counts, 'class')}"


def _labels(counts: Counts) -> str:
    sums = (counts.numbers * [[int(kind)] for kind in counts.kinds]).sum(axis=0)
    mean = sums[0] / max(int(counts.totals[0]), 1)
    return f"<p>An item of the database has {mean:.2f} labels on average.</p>{_bars(counts, 'labels')}"


def _samples(samples: Sequence[Sample]) -> str:
    note = f"{len(samples)} items, chosen by a hash of their ids."
    return f'<p>{note}</p><div class="samples">{"".join(map(_figure, samples))}</div>'


def _figure(sample: Sample) -> str:
    labels = escape(", ".join(sample.labels)) or "no label"
    text = f"<q>{escape(shorten(sample.text, MOST_TEXT))}</q>" if sample.text else ""
    small = f"{escape(sample.sample_id)}<br>{', '.join(PART_TITLES[name] for name in sample.splits)}"
    if sample.address:
        longer = max(sample.size)
        width, height = (max(1, round(side * THUMBNAIL / longer)) for side in sample.size)
        style = ' class="tiny"' if longer <= TINY else ""
        picture = f'<img src="{sample.address}" alt="{labels}" width="{width}" height="{height}"{style}>'
    else:
        picture = f"<p>{escape(sample.trouble)}</p>"
    caption = f"<figcaption><b>{labels}</b>{text}<small>{small}</small></figcaption>"
    return f'<figure><div class="frame">{picture}</div>{caption}</figure>'


def _entries(facts: DataFacts) -> str:
    rows = "".join(
        f"<div><dt>{escape(term)}</dt><dd{_hash_style(term)}>{escape(text)}</dd></div>"
        for term, text in facts.entries.items()
    )
    return f'<dl class="facts">{rows}</dl>'


def _hash_style(term: str) -> str:
    return ' class="hash"' if term.endswith("fingerprint") else ""
