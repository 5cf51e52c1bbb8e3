"""Pictures of a query: strip, ranked lists, chain of its purification; for TensorBoard, report and search page."""

from __future__ import annotations

import html
import inspect
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from lightning_modules.pictures import (
    Kind,
    Picture,
    amplified_difference,
    enlarge,
    grid,
    retrieval_list,
    strip,
    trajectory,
)

LONGEST_TEXT = 80
MARKDOWN = re.compile(r"([\\`*_{}\[\]#!|])")


def as_picture(image: Tensor) -> Picture:
    """Turn a uint8 tensor ``(3, H, W)`` into a uint8 picture ``(H, W, 3)``."""
    return image.permute(1, 2, 0).contiguous().cpu().numpy()


def query_strip(outputs: Any, row: int) -> Picture:
    """Compose original | attacked | purified | amplified differences of one query.

    Args:
        outputs: ``original``, ``attacked`` and ``defended``, each uint8 ``(B, 3, H, W)``.
        row: which query.
    """
    original, attacked, defended = outputs.original[row], outputs.attacked[row], outputs.defended[row]
    return strip(as_picture(original), as_picture(attacked), as_picture(defended))


def attack_grid(original: Tensor, attacked: Tensor, count: int = 8) -> Picture:
    """Lay out original | attacked | amplified difference, one row per image.

    Args:
        original: uint8 ``(B, 3, H, W)``.
        attacked: uint8 ``(B, 3, H, W)``.
        count: at most that many rows.
    """
    panels = []
    for before, after in zip(original[:count], attacked[:count], strict=True):
        pictures = as_picture(before), as_picture(after)
        panels += [enlarge(panel) for panel in (*pictures, amplified_difference(*pictures))]
    return grid(panels, columns=3)


@dataclass(frozen=True, eq=False)
class RankedList:
    """What one state of a query retrieves.

    Attributes:
        state: ``original``, ``attacked`` or ``defended``.
        kinds: what each ranked image is, best first.
        picture: the query and its ranked images, framed.
    """

    state: str
    kinds: tuple[Kind, ...]
    picture: Picture

    @property
    def count(self) -> str:
        """What was found, in words: ``7 hits, 3 misses``."""
        return in_words(self.kinds)


def retrieval_lists(module: Any, outputs: Any, row: int, depth: int = 10) -> Picture:
    """Compose the :func:`ranked_lists` of one query to one picture, a row per state."""
    return np.concatenate([found.picture for found in ranked_lists(module, outputs, row, depth)], axis=0)


def ranked_lists(module: Any, outputs: Any, row: int, depth: int = 10) -> list[RankedList]:
    """Show what one query retrieves: the original, the attacked and the defended image.

    Frames tell a hit (shares a class with the query), the attacker's target, both, or a miss. A state that
    equals the one before is left out.

    Args:
        module: an evaluation module: it ranks images and gives database pictures.
        outputs: what its test step returned.
        row: which query of it.
        depth: images per list.
    """
    lists = []
    for state, image in states(outputs, row).items():
        positions = module.rank(image[None], depth)[0].tolist()
        hits = [as_picture(module.context.database_image(position)) for position in positions]
        labels = module.context.database.labels[positions]
        kinds = tuple(kind_of(label, outputs.label[row], outputs.target[row]) for label in labels)
        lists.append(RankedList(state, kinds, retrieval_list(as_picture(image), hits, kinds)))
    return lists


def retrieved_texts(module: Any, outputs: Any, row: int, depth: int = 10) -> str:
    """Compose the ranked texts of one query: of the original, the attacked and the defended image.

    A table in Markdown, which TensorBoard shows in any script; a picture would need fonts. Each text says whether it is
    a hit (shares a class with the query), the attacker's target, both or a miss. A state that equals the one before is
    left out.

    Args:
        module: an evaluation module of a cross-modal hasher: it ranks texts and knows their captions.
        outputs: what its test step returned.
        row: which query of it.
        depth: texts per list.
    """
    columns = {}
    for state, image in states(outputs, row).items():
        positions = module.rank_texts(image[None], depth)[0].tolist()
        labels = module.context.text.database.labels[positions]
        kinds = [kind_of(label, outputs.label[row], outputs.target[row]) for label in labels]
        texts = [module.context.database_text(position) for position in positions]
        columns[state] = [f"**{kind}** {_cell(text)}" for kind, text in zip(kinds, texts, strict=True)]
    header = ["rank", *columns]
    ranks = zip(*columns.values(), strict=True)
    rows = [header, ["---"] * len(header), *([str(rank), *cells] for rank, cells in enumerate(ranks, start=1))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def states(outputs: Any, row: int) -> dict[str, Tensor]:
    """Return the original, the attacked and the defended image of a query; one that equals the one before is left out.

    Args:
        outputs: ``original``, ``attacked`` and ``defended``, each uint8 ``(B, 3, H, W)``.
        row: which query.
    """
    every = {name: getattr(outputs, name)[row] for name in ("original", "attacked", "defended")}
    before = [None, *every.values()]
    changed = zip(every.items(), before, strict=False)
    return {name: image for (name, image), old in changed if old is None or not torch.equal(image, old)}


def can_be_watched(defence: Any) -> bool:
    """Whether a defence shows its chain through an ``observe`` argument."""
    return defence is not None and "observe" in inspect.signature(defence.forward).parameters


@torch.no_grad()
def purification_trajectory(defence: Any, attacked: Tensor, sample_id: str, columns: int = 8) -> Picture:
    """Purify one image and show its chain: the input, x_t at evenly spread t, and the result (Figure 1).

    Args:
        defence: a purifier with an ``observe`` argument.
        attacked: uint8 ``(3, H, W)``.
        sample_id: its id.
        columns: pictures of the chain.
    """
    seen: list[Tensor] = []
    defence(attacked[None].float() / 255, (sample_id,), observe=lambda t, x: seen.append(x[0].cpu()))
    spread = np.linspace(0, len(seen) - 1, min(columns, len(seen))).round().astype(int)
    chain = [((seen[i] + 1) / 2).clamp(0, 1).mul(255).round().to(torch.uint8) for i in spread]
    return trajectory([as_picture(image) for image in (attacked, *chain)])


def in_words(kinds: Sequence[Kind]) -> str:
    """Count what was found: ``7 hits, 3 misses``."""
    found, plural = Counter(kinds), {"hit": "hits", "target": "targets", "both": "both", "miss": "misses"}
    counts = ((found[kind], kind) for kind in get_args(Kind) if found[kind])
    return ", ".join(f"{count} {kind if count == 1 else plural[kind]}" for count, kind in counts)


def kind_of(label: Tensor, true: Tensor, target: Tensor) -> Kind:
    """Say what a retrieved item is to a query of this true and this target label, each uint8 ``(C,)``."""
    match bool((label & true).any()), bool((label & target).any()):
        case (True, True):
            return "both"
        case (True, False):
            return "hit"
        case (False, True):
            return "target"
        case _:
            return "miss"


def _cell(text: str) -> str:
    """One line of plain text, whatever it holds."""
    line = " ".join(text.split())
    short = line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
    return MARKDOWN.sub(r"\\\1", html.escape(short, quote=False))
