"""The tables of the HTML report: results, further scores, what attacks changed, facts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lightning_modules.evaluation.report.model import (
    DISTORTIONS,
    FIGURES,
    Columns,
    Report,
    Row,
    attack_label,
    distorted,
    grouped,
    interval,
    number,
    numbers,
)
from lightning_modules.evaluation.report.scores import score_columns, score_title

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
    ("Bits flipped", "Bits in which a code differs from that of the same query's clean picture, mean over queries."),
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


def scrolling(content: str, name: str, style: str = "") -> str:
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
    return scrolling(table, f"Results on {name}", "tall")


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
    return scrolling(table, f"Further scores on {name}", "tall")


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
    return scrolling(table, f"Distortions on {name}") if body else ""


def results_section(report: Report) -> str:
    """Return all tables of all data sets and hashers, and what their columns mean."""
    tables = [
        make(f"{dataset}, {hasher}", rows)
        for (dataset, hasher), rows in grouped(report.rows, "dataset", "hasher").items()
        for make in (_table, _score_table, _distortion_table)
    ]
    terms = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in READING)
    return f'{"".join(tables)}<dl class="reading">{terms}</dl>'


def facts_section(report: Report) -> str:
    """Return the table of what is needed to repeat the numbers."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(text))}</td></tr>'
        for name, text in report.facts.items()
    )
    caption = "<caption>What is needed to judge and to repeat these numbers</caption>"
    return scrolling(f'<table class="facts">{caption}<tbody>{rows}</tbody></table>', "Facts")
