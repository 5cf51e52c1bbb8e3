"""Reports of an evaluation: ``report.md`` with its pictures, and ``report.html``, a single file."""

from __future__ import annotations

from pathlib import Path

from lightning_modules.atomic import replaced_at_once
from lightning_modules.evaluation.report.html import render_html
from lightning_modules.evaluation.report.markdown import picture_names, render_markdown
from lightning_modules.evaluation.report.model import Report, row_key
from lightning_modules.pictures import png_bytes

__all__ = ["Report", "render_html", "render_markdown", "row_key", "write_report"]


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write ``report.md``, ``report.html`` and ``pictures/*.png``, each file whole or not at all.

    Args:
        report: what to show.
        folder: made if it is not there; files of the same names are replaced, others stay.

    Returns:
        The paths of ``report.md`` and ``report.html``.
    """
    markdown, page = folder / "report.md", folder / "report.html"
    html_text, markdown_text = render_html(report), render_markdown(report)
    pictures = [(folder / "pictures" / name, png_bytes(item[2])) for name, item in picture_names(report)]
    texts = [(markdown, markdown_text.encode()), (page, html_text.encode())]
    for path, content in (*pictures, *texts):  # the pages last: what they show is there
        with replaced_at_once(path) as partial:
            partial.write_bytes(content)
    return markdown, page
