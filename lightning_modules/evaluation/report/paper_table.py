"""Our figures beside printed ones, as lines of text, of Markdown and of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

TITLES = ("Table", "Data", "Hasher", "Attack", "Defence", "Score", "Ours", "95 %", "Paper", "Difference", "Chance", "")
NAMES = 6  # columns that hold no number
NOTE = (
    "In percent: our mean over queries with its 95 % interval, the paper's figure, ours minus the paper's, and what a "
    "random ranking scores."
)


@dataclass(frozen=True)
class Comparison:
    """One printed figure and ours, all in percent.

    Attributes:
        table: number of the paper's table.
        dataset: data set.
        hasher: hasher of the plan.
        attack: attack, or ``none``.
        defence: defence of the plan, or ``none``.
        score: what is compared, e.g. "T-MAP, first 50 hits, I2T".
        ours: our mean over queries.
        low: lower end of our 95 % interval over queries.
        high: its upper end.
        printed: the paper's figure.
        chance: what a random ranking scores, or None if that is not known.
        note: what is odd about the paper's figure.
    """

    table: str
    dataset: str
    hasher: str
    attack: str
    defence: str
    score: str
    ours: float
    low: float
    high: float
    printed: float
    chance: float | None
    note: str

    @property
    def difference(self) -> float:
        """Ours minus the paper's, in percentage points."""
        return self.ours - self.printed

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of its line, by :data:`TITLES`."""
        return (
            *(self.table, self.dataset, self.hasher, self.attack, self.defence, self.score),
            f"{self.ours:.2f}",
            f"[{self.low:.2f}, {self.high:.2f}]",
            f"{self.printed:.2f}",
            f"{self.difference:+.2f}",
            "-" if self.chance is None else f"{self.chance:.2f}",
            self.note,
        )


def comparison_text(comparisons: Sequence[Comparison]) -> str:
    """Lay out comparisons for a terminal."""
    lines = [TITLES, *(one.cells for one in comparisons)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(TITLES))]
    return "\n".join("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def comparison_html(comparisons: Sequence[Comparison]) -> str:
    """Return the table as HTML."""
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in TITLES)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in one.cells) + "</tr>" for one in comparisons)
    caption = "<caption><span>Ours beside the paper's, in percent</span></caption>"
    return f'<table class="results">{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
