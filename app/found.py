"""What a code finds: ranked database items, each with its distance and what it is to the query."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lightning_modules.evaluation.context import HasherContext
from lightning_modules.pictures import Kind, Picture
from lightning_modules.query_pictures import as_picture, in_words, kind_of
from lightning_modules.retrieval.metrics import top_n
from lightning_modules.types import CodeBook


@dataclass(frozen=True, eq=False)
class Found:
    """One ranked database item.

    Attributes:
        sample_id: its id.
        distance: Hamming distance of its code to the query's.
        kind: ``hit``, ``target``, ``both`` or ``miss``.
        classes: its class names.
        caption: its text, or None.
        picture: its image, uint8 ``(H, W, 3)``.
    """

    sample_id: str
    distance: int
    kind: Kind
    classes: str
    caption: str | None
    picture: Picture


@dataclass(frozen=True, eq=False)
class State:
    """A query in one state, and what it finds.

    Attributes:
        name: ``clean``, ``attacked`` or ``purified``.
        picture: the query's image in this state, uint8 ``(H, W, 3)``.
        code: int8 ``(K,)`` in {-1, +1}.
        flipped: bits that differ from the clean code.
        images: ranked images, best first.
        texts: items ranked by their texts, of a cross-modal hasher.
        label: names of the classes that make a hit.
        target: names of the classes that the attacker wants; empty without.
        seconds: what it took to get here from the state before.
    """

    name: str
    picture: Picture
    code: Tensor
    flipped: int
    images: tuple[Found, ...]
    texts: tuple[Found, ...]
    label: str
    target: str
    seconds: float

    @property
    def count(self) -> str:
        """What the ranked images are, in words: ``9 targets, 1 miss``."""
        return in_words([found.kind for found in self.images])


def find(
    context: HasherContext, book: CodeBook, code: Tensor, label: Tensor, target: Tensor, depth: int
) -> tuple[Found, ...]:
    """Rank a code book for one code.

    Args:
        context: the hasher, for pictures and names.
        book: codes of the database's images or texts.
        code: int8 ``(K,)`` in {-1, +1}.
        label: uint8 ``(C,)`` of the query.
        target: uint8 ``(C,)``, what the attacker wants; all zero for nothing.
        depth: length of the list.
    """
    positions, distances = (row[0].tolist() for row in top_n(code[None], book.codes, min(depth, len(book))))
    items = context.data.dataset(context.database_split)
    found = []
    for position, distance in zip(positions, distances, strict=True):
        item, theirs = items[position], book.labels[position]
        kind, classes = kind_of(theirs, label, target), class_names(context, theirs)
        found.append(Found(item.sample_id, distance, kind, classes, item.caption, as_picture(item.image)))
    return tuple(found)


def class_names(context: HasherContext, label: Tensor) -> str:
    """Name the classes of a label uint8 ``(C,)``."""
    names = context.data.class_names
    return " + ".join(names[place] for place in label.nonzero().flatten().tolist())
