"""The report as one HTML file: offline, without scripts, for light and dark, for desks and phones."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lightning_modules.evaluation.report.bits import flips_plot
from lightning_modules.evaluation.report.lines import sweep_plot
from lightning_modules.evaluation.report.model import (
    CaptionedPicture,
    Report,
    RetrievalExample,
    Row,
    defences,
    grouped,
    row_key,
    row_label,
    summary,
)
from lightning_modules.evaluation.report.paper_table import NOTE, comparison_html
from lightning_modules.evaluation.report.style import STYLE
from lightning_modules.evaluation.report.svg import Series, interval_plot, precision_recall_plot
from lightning_modules.evaluation.report.sweep import find_sweeps
from lightning_modules.evaluation.report.tables import facts_section, results_section, scrolling
from lightning_modules.pictures import data_uri

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
PANELS = ("original", "attacked", "purified", "attacked − original", "purified − original")  # noqa: RUF001


def _figure(content: str, caption: str, style: str = "") -> str:
    return f'<figure class="{style}">{content}<figcaption>{caption}</figcaption></figure>'


def _image(item: CaptionedPicture) -> str:
    _, alt, picture = item
    height, width = picture.shape[:2]
    return f'<img src="{data_uri(picture)}" alt="{escape(alt)}" width="{width}" height="{height}">'


def _intervals(report: Report) -> str:
    """Return two interval plots, MAP and T-MAP, for each data set and hasher."""
    figures = []
    for (dataset, hasher), rows in grouped(report.rows, "dataset", "hasher").items():
        for metric, title in (("map", "MAP"), ("t_map", "T-MAP")):
            if any(row.get(metric) is not None for row in rows):
                plot = interval_plot(rows, metric, title, defences(report))
                figures.append(_figure(plot, f"{title} on {escape(dataset)}, {escape(hasher)}.", "plot"))
    note = (
        "Dots are means over queries, bars 95 % intervals. Dashed line: clean queries without defence. "
        "Dotted line: chance."
    )
    return f'<p>{note}</p><div class="pair">{"".join(figures)}</div>'


def _sweeps(report: Report) -> str:
    """Return one figure per swept option of a purifier, or nothing."""
    attacks = list(dict.fromkeys(str(row["attack"]) for row in report.rows))
    figures = []
    for (dataset, hasher), rows in grouped(report.rows, "dataset", "hasher").items():
        for sweep in find_sweeps(rows):
            caption = f"{escape(sweep.caption)}; {escape(dataset)}, {escape(hasher)}."
            figures.append(_figure(sweep_plot(sweep, attacks), caption, "plot"))
    if not figures:
        return ""
    note = "Whole lines: MAP; dashed: T-MAP. Below, how far the defended picture is from the original."
    return f'<p>{note}</p><div class="pair">{"".join(figures)}</div>'


def _samples(report: Report) -> str:
    labels = "".join(f"<span>{escape(name)}</span>" for name in PANELS)
    head = f'<div class="panels" aria-hidden="true">{labels}</div>'
    figures = [_figure(head + _image(item), escape(item[0]), "strip") for item in report.strips]
    note = "From left to right: original, attacked, purified; then both differences, amplified around mid-grey."
    return f'<p>{note}</p><div class="pair">{"".join(figures)}</div>'


def _legend(row: Row, rows: Sequence[Row]) -> str:
    """Return a row's name where no heading says that it names a defence."""
    label = row_label(row, rows)
    return f"no defence{label[4:]}" if row["defence"] == "none" else label


def _curves(report: Report) -> str:
    """Return one panel per attack, the clean curve as the reference in each."""
    order, panels = defences(report), []
    settings = grouped(report.rows, "dataset", "hasher")
    for (dataset, hasher, attack), rows in grouped(report.rows, "dataset", "hasher", "attack").items():
        series = [
            Series(_legend(row, rows), report.curves[row_key(row)], order.index(str(row["defence"])))
            for row in rows
            if row_key(row) in report.curves
        ]
        if not series:
            continue
        if attack != "none":
            clean = [
                Series("clean (no attack, no defence)", curve)
                for key, curve in report.curves.items()
                if key[:4] == (dataset, hasher, "none", "none")
            ]
            series = clean[:1] + series
        place = f" ({dataset}, {hasher})" if len(settings) > 1 else ""
        plot = precision_recall_plot(series, f"attack: {attack}{place}")
        panels.append(f'<figure class="plot">{plot}</figure>')
    note = "One panel per attack, for the query's true labels; further up and to the right is better."
    return f'<p>{note}</p><div class="panels3">{"".join(panels)}</div>'


def _flips(report: Report) -> str:
    """Return one plot of flipped bits for each data set and hasher, or nothing."""
    figures = []
    for (dataset, hasher), rows in grouped(report.rows, "dataset", "hasher").items():
        if any(row_key(row) in report.flips for row in rows):
            plot = flips_plot(rows, report.flips, defences(report))
            figures.append(_figure(plot, f"Flipped bits on {escape(dataset)}, {escape(hasher)}.", "plot"))
    note = (
        "One bar per bit: the share of queries in which it differs from the code of the clean picture, between a line "
        "for none and a line for all. On the right, the mean number of flipped bits."
    )
    return f'<p>{note}</p><div class="pair">{"".join(figures)}</div>'


def _ranked(example: RetrievalExample) -> str:
    """Return the lists of one query, each below what it holds in words."""
    title, lists = example
    parts = [
        f'<p class="state">{escape(caption)}</p>{scrolling(_image((caption, alt, picture)), caption, "wide")}'
        for caption, alt, picture in lists
    ]
    return f'<figure class="list"><figcaption>{escape(title)}</figcaption>{"".join(parts)}</figure>'


def _retrieval(report: Report) -> str:
    kinds = (
        ("hit", "hit: shares the query's label (whole line)"),
        ("target", "target: shares the attacker's label (dashed)"),
        ("both", "both (two halves)"),
        ("miss", "miss: neither (thin)"),
    )
    legend = "".join(f'<li><i class="frame {kind}"></i>{escape(text)}</li>' for kind, text in kinds)
    note = "The query stands apart on the left; the ranked images follow, framed by what they are:"
    return f'<p>{note}</p><ul class="legend">{legend}</ul>{"".join(map(_ranked, report.retrieval))}'


def _trajectory(report: Report) -> str:
    if report.trajectory is None:
        return ""
    alt = "States of one purification, from left to right"
    image = scrolling(_image(("", alt, report.trajectory)), alt, "wide")
    return _figure(image, "From left to right: the image that comes in, its states on the way, what goes out.", "list")


def render_html(report: Report) -> str:
    """Return the report as one HTML document without external resources and without scripts."""
    sections = [("results", "Results", results_section(report)), ("intervals", "Intervals", _intervals(report))]
    if report.comparisons:
        table = scrolling(comparison_html(report.comparisons), "Ours beside the paper's")
        sections.insert(0, ("paper", "Beside the paper", f"<p>{escape(NOTE)}</p>{table}"))
    sweeps = _sweeps(report)
    if sweeps:
        sections.append(("sweeps", "Over the purifier's options", sweeps))
    if report.strips:
        sections.append(("samples", "Samples", _samples(report)))
    if report.curves:
        sections.append(("curves", "Precision and recall", _curves(report)))
    if report.flips:
        sections.append(("bits", "Flipped bits", _flips(report)))
    if report.retrieval:
        sections.append(("retrieval", "Retrieval before and after", _retrieval(report)))
    if report.trajectory is not None:
        sections.append(("trajectory", "One purification", _trajectory(report)))
    if report.facts:
        sections.append(("facts", "Facts", facts_section(report)))
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{title}</h2>{content}</section>' for name, title, content in sections)
    title, lead = escape(report.title), escape(summary(report))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{title}</title><style>{STYLE}</style></head>'
        f'<body><header><h1>{title}</h1><p class="lead">{lead}</p>'
        f'<nav aria-label="Sections">{links}</nav></header><main>{body}</main></body></html>\n'
    )
