"""The report as one HTML file: offline, without scripts, for light and dark, for desks and phones."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lightning_modules.evaluation.report.lines import sweep_plot
from lightning_modules.evaluation.report.model import (
    DISTORTIONS,
    FIGURES,
    CaptionedPicture,
    Columns,
    Report,
    Row,
    attack_label,
    defences,
    distorted,
    grouped,
    interval,
    number,
    numbers,
    row_key,
    row_label,
    summary,
)
from lightning_modules.evaluation.report.scores import score_columns, score_title
from lightning_modules.evaluation.report.style import STYLE
from lightning_modules.evaluation.report.svg import Series, interval_plot, precision_recall_plot
from lightning_modules.evaluation.report.sweep import SWEPT, find_sweeps
from lightning_modules.pictures import data_uri

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
COLUMNS = ("MAP", "T-MAP", *(title for title, _, _ in FIGURES), "Seed")
READING = (
    (
        "MAP",
        "Mean average precision for the query's true labels. High MAP: the system answers the true query.",
    ),
    (
        "T-MAP",
        "The same for the label the attacker wants. T-MAP near the clean row: the attack failed. "
        "High T-MAP: the attacker chooses what is found. An attack without target has none.",
    ),
    (
        "Anchor",
        "MAP and T-MAP of the anchor code itself, the code that the attack steers towards: what it reaches at best.",
    ),
    ("Chance", "What a random ranking of the same database scores."),
    (
        "[low, high]",
        "95 % percentile bootstrap interval over queries; database, model and attack are held fixed.",
    ),
    (
        "L∞, RMSE",
        "Largest change of any pixel value, in steps of 1/255; root of the mean squared change of all images, and the "
        "mean of each image's root, on the [0, 1] scale.",
    ),
    ("SSIM, PSNR", "Structural similarity and peak signal-to-noise ratio, means over images."),
)
PANELS = ("original", "attacked", "purified", "attacked − original", "purified − original")  # noqa: RUF001


def _scrolling(content: str, name: str, style: str = "") -> str:
    """Wrap what may be wider than a phone in a region that scrolls by itself, by keyboard too."""
    return f'<div class="scroll {style}" role="region" aria-label="{escape(name)}" tabindex="0">{content}</div>'


def _metric_cell(row: Row, metric: str) -> str:
    bounds = interval(row, metric)
    tail = f' <span class="bounds">{bounds}</span>' if bounds else ""
    return f'<td class="metric"><b>{number(row.get(metric))}</b>{tail}</td>'


def _plain_cells(row: Row, columns: Columns) -> str:
    return "".join(f"<td>{text}</td>" for text in (*numbers(row, columns), escape(str(row["seed"]))))


def _table_row(row: Row) -> str:
    """Return one row of the result table."""
    cells = _plain_cells(row, FIGURES)
    name = f'<th scope="row">{escape(str(row["defence"]))}</th>'
    return f"<tr>{name}{_metric_cell(row, 'map')}{_metric_cell(row, 't_map')}{cells}</tr>"


def _table(name: str, rows: Sequence[Row]) -> str:
    """Return the result table of one data set and hasher, with one row group per attack."""
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in ("Defence", *COLUMNS))
    bodies = []
    for (attack,), members in grouped(rows, "attack").items():
        label = f"<span>Attack: {escape(attack)}</span>"
        head = f'<tr class="group"><th scope="rowgroup" colspan="{len(COLUMNS) + 1}">{label}</th></tr>'
        bodies.append(f"<tbody>{head}{''.join(_table_row(row) for row in members)}</tbody>")
    caption = f"<caption><span>{escape(name)}: fractions with 95 % intervals over queries</span></caption>"
    table = f'<table class="results">{caption}<thead><tr>{heads}</tr></thead>{"".join(bodies)}</table>'
    return _scrolling(table, f"Results on {name}")


def _score_table(name: str, rows: Sequence[Row]) -> str:
    """Return a table of all further scores of one data set and hasher, or nothing."""
    names = score_columns(rows)
    if not names:
        return ""
    heads = "".join(f'<th scope="col">{t}</th>' for t in ("Attack, defence", *(score_title(n) for n in names)))
    lines = []
    for row in rows:
        title = escape(f"{attack_label(row)}, {row['defence']}")
        cells = "".join(_metric_cell(row, score) for score in names)
        lines.append(f'<tr><th scope="row">{title}</th>{cells}</tr>')
    caption = f"<caption><span>{escape(name)}: other directions and conventions</span></caption>"
    table = f'<table class="results">{caption}<thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return _scrolling(table, f"Further scores on {name}")


def _distortion_table(name: str, rows: Sequence[Row]) -> str:
    """Return the table of what attacks changed, or nothing without attacks."""
    titles = ("Attack", *(title for title, _, _ in DISTORTIONS), "Seed")
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(
        f'<tr><th scope="row">{escape(attack_label(row))}</th>{_plain_cells(row, DISTORTIONS)}</tr>'
        for row in distorted(rows)
    )
    caption = f"<caption><span>{escape(name)}: what the attacks changed</span></caption>"
    table = f'<table class="results">{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    return _scrolling(table, f"Distortions on {name}") if body else ""


def _figure(content: str, caption: str, style: str = "") -> str:
    return f'<figure class="{style}">{content}<figcaption>{caption}</figcaption></figure>'


def _image(item: CaptionedPicture) -> str:
    _, alt, picture = item
    height, width = picture.shape[:2]
    return f'<img src="{data_uri(picture)}" alt="{escape(alt)}" width="{width}" height="{height}">'


def _results(report: Report) -> str:
    tables = [
        make(f"{dataset}, {hasher}", rows)
        for (dataset, hasher), rows in grouped(report.rows, "dataset", "hasher").items()
        for make in (_table, _score_table, _distortion_table)
    ]
    terms = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in READING)
    return f'{"".join(tables)}<dl class="reading">{terms}</dl>'


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
            caption = f"Only {SWEPT[sweep.option]} differs; {escape(dataset)}, {escape(hasher)}."
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


def _retrieval(report: Report) -> str:
    kinds = (
        ("hit", "shares the query's label"),
        ("target", "shares the attacker's target label"),
        ("both", "shares both"),
        ("miss", "neither"),
    )
    legend = "".join(f'<li><i class="frame {kind}"></i>{escape(text)}</li>' for kind, text in kinds)
    figures = [_figure(_scrolling(_image(item), item[0], "wide"), escape(item[0]), "list") for item in report.retrieval]
    note = "The query stands apart on the left; the ranked images follow, framed by what they are:"
    return f'<p>{note}</p><ul class="legend">{legend}</ul>{"".join(figures)}'


def _trajectory(report: Report) -> str:
    if report.trajectory is None:
        return ""
    alt = "States of one purification, from left to right"
    image = _scrolling(_image(("", alt, report.trajectory)), alt, "wide")
    return _figure(image, "From left to right: the image that comes in, its states on the way, what goes out.", "list")


def _facts(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(text))}</td></tr>'
        for name, text in report.facts.items()
    )
    caption = "<caption>What is needed to judge and to repeat these numbers</caption>"
    return _scrolling(f'<table class="facts">{caption}<tbody>{rows}</tbody></table>', "Facts")


def render_html(report: Report) -> str:
    """Return the report as one HTML document without external resources and without scripts."""
    sections = [("results", "Results", _results(report)), ("intervals", "Intervals", _intervals(report))]
    sweeps = _sweeps(report)
    if sweeps:
        sections.append(("sweeps", "Over the purifier's options", sweeps))
    if report.strips:
        sections.append(("samples", "Samples", _samples(report)))
    if report.curves:
        sections.append(("curves", "Precision and recall", _curves(report)))
    if report.retrieval:
        sections.append(("retrieval", "Retrieval before and after", _retrieval(report)))
    if report.trajectory is not None:
        sections.append(("trajectory", "One purification", _trajectory(report)))
    if report.facts:
        sections.append(("facts", "Facts", _facts(report)))
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
