"""The marks that all pictures of a report are made of, as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def shorten(text: str, most: int) -> str:
    """Cut ``text`` to at most ``most`` characters, marking the cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def label(x: float, y: float, text: str, style: str = "", most: int = 60) -> str:
    """Return an escaped text element; a cut text keeps its whole in a tooltip."""
    tip = f"<title>{escape(text)}</title>" if len(text) > most else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{tip}{escape(shorten(text, most))}</text>'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """Return a line between two points, its look by its class."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def drawing(width: float, height: float, name: str, parts: Sequence[str]) -> str:
    """Wrap parts in an element that scales with its container and is announced as one picture."""
    head = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(name)}">'
    return head + "".join(parts) + "</svg>"
