"""Reports of an evaluation: ``report.md`` with its pictures, and ``report.html``, a single file."""

from __future__ import annotations

import os
from pathlib import Path

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
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in pictures:
        path.parent.mkdir(exist_ok=True)
        _write_atomically(path, content)
    _write_atomically(markdown, markdown_text.encode("utf-8"))
    _write_atomically(page, html_text.encode("utf-8"))
    return markdown, page


def _write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside ``path`` and move it there: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
