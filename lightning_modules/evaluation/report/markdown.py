"""The report as Markdown: the table, the facts, and the pictures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lightning_modules.evaluation.report.model import (
    DISTORTIONS,
    FIGURES,
    CaptionedPicture,
    Report,
    Row,
    attack_label,
    distorted,
    grouped,
    interval,
    number,
    numbers,
    summary,
)
from lightning_modules.evaluation.report.paper_table import NAMES, NOTE, TITLES, Comparison
from lightning_modules.evaluation.report.scores import score_columns, score_title


def inline(text: str) -> str:
    """Return ``text`` on one line, with every character escaped that Markdown or HTML would interpret."""
    flat = " ".join(str(text).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|#~$])", r"\\\1", flat).replace("://", "&#58;//")


def _cells(row: Row) -> list[str]:
    """Return the row's cells in the table of results."""
    return [
        inline(attack_label(row)),
        inline(row["defence"]),
        f"{number(row['map'])} {interval(row, 'map')}".rstrip(),
        f"{number(row.get('t_map'))} {interval(row, 't_map')}".rstrip(),
        *numbers(row, FIGURES),
        inline(row["seed"]),
    ]


def _lines(names: int, titles: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose first ``names`` columns hold names, the others numbers."""
    rules = ["---"] * names + ["---:"] * (len(titles) - names)
    return ["| " + " | ".join(line) + " |" for line in (titles, rules, *cells)]


def _table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table of results, its rows grouped by attack."""
    titles = ["Attack", "Defence", "MAP", "T-MAP", *(title for title, _, _ in FIGURES), "Seed"]
    return _lines(2, titles, [_cells(row) for members in grouped(rows, "attack").values() for row in members])


def _distortions(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table of what attacks changed, or nothing without attacks."""
    titles = ["Attack", *(title for title, _, _ in DISTORTIONS), "Seed"]
    cells = [[inline(attack_label(r)), *numbers(r, DISTORTIONS), inline(r["seed"])] for r in distorted(rows)]
    return [*_lines(1, titles, cells), ""] if cells else []


def _score_table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of a table of all further scores, or nothing."""
    names = score_columns(rows)
    if not names:
        return []
    heads = ["Attack", "Defence", *map(score_title, names)]
    lines = ["", "| " + " | ".join(heads) + " |", "| --- | --- |" + " ---: |" * len(names)]
    for row in rows:
        scores = [f"{number(row.get(name))} {interval(row, name)}".rstrip() for name in names]
        lines.append("| " + " | ".join([inline(attack_label(row)), inline(row["defence"]), *scores]) + " |")
    return lines


def _comparisons(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the section that sets ours beside the paper's, or nothing."""
    if not comparisons:
        return []
    cells = [[inline(cell) for cell in one.cells] for one in comparisons]
    return ["## Beside the paper", "", NOTE, "", *_lines(NAMES, TITLES, cells), ""]


def picture_names(report: Report) -> list[tuple[str, CaptionedPicture]]:
    """Return every picture of the report with the file name it gets in ``pictures/``."""
    named = [(f"sample-{place:02d}.png", item) for place, item in enumerate(report.strips, 1)]
    for place, (title, lists) in enumerate(report.retrieval, 1):
        for step, (caption, alt, picture) in enumerate(lists, 1):
            named.append((f"retrieval-{place:02d}-{step}.png", (f"{title}. {caption}", alt, picture)))
    if report.trajectory is not None:
        alt = "States of one purification, from left to right"
        named.append(("trajectory.png", (alt, alt, report.trajectory)))
    return named


def render_markdown(report: Report) -> str:
    """Return the report as Markdown text; its pictures are expected in ``pictures/`` beside it."""
    lines = [f"# {inline(report.title)}", "", inline(summary(report)), ""]
    lines += [*_comparisons(report.comparisons), "## Results", ""]
    for (dataset, hasher), rows in grouped(report.rows, "dataset", "hasher").items():
        lines += [f"**{inline(dataset)}, {inline(hasher)}**", "", *_table(rows), *_score_table(rows), ""]
        lines += _distortions(rows)
    lines += [
        "MAP and T-MAP are fractions with their 95 % bootstrap interval over queries. High MAP: the system "
        "answers the true query. T-MAP near the clean row: the attack failed. An attack without target has no T-MAP. "
        "The second table says what the attacks changed, on [0, 1] images: the largest change, the root of the mean "
        "squared change of all images, the mean of each image's root, structural similarity, peak signal to noise.",
        "",
    ]
    titles = {
        "sample": "Samples",
        "retrieval": "Retrieval before and after",
        "trajectory": "One purification",
    }
    for name, (caption, alt, _) in picture_names(report):
        title = titles.pop(re.split(r"[-.]", name)[0], None)
        if title is not None:
            lines += [f"## {title}", ""]
        lines += [f"![{inline(alt)}](pictures/{name})", "", f"*{inline(caption)}*", ""]
    if report.facts:
        lines += ["## Facts", "", "| Fact | Value |", "| --- | --- |"]
        lines += [f"| {inline(name)} | {inline(text)} |" for name, text in report.facts.items()]
        lines.append("")
    return "\n".join(lines)
