"""What a scene can show: the concepts, their names, and which of them like each other's company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Concept:
    """A class of the data set; the concept is the shape, never the colour.

    Attributes:
        name: the class name.
        words: nouns that captions use, the name among them; no noun belongs to two concepts.
        tilt: largest rotation in degrees: as upright as things are in photographs, 180 if that says nothing.
        weight: relative frequency of being chosen.
    """

    name: str
    words: tuple[str, ...]
    tilt: float
    weight: float


CATALOGUE: tuple[Concept, ...] = (
    Concept("disc", ("disc", "ball", "circle"), 180, 1.5),
    Concept("ring", ("ring", "hoop"), 180, 1.2),
    Concept("square", ("square", "box"), 20, 1.3),
    Concept("triangle", ("triangle",), 25, 1.2),
    Concept("star", ("star",), 25, 1.4),
    Concept("cross", ("cross", "plus sign"), 20, 0.9),
    Concept("crescent", ("crescent", "moon"), 35, 1.0),
    Concept("heart", ("heart",), 25, 1.2),
    Concept("arrow", ("arrow", "pointer"), 30, 1.0),
    Concept("spiral", ("spiral", "swirl"), 180, 0.8),
    Concept("gear", ("gear", "cogwheel"), 25, 0.8),
    Concept("flower", ("flower", "blossom"), 30, 1.4),
    Concept("drop", ("drop", "droplet"), 25, 1.0),
    Concept("lightning", ("lightning", "thunderbolt"), 25, 0.8),
    Concept("fish", ("fish",), 25, 1.3),
    Concept("house", ("house", "cottage"), 12, 1.4),
    Concept("mushroom", ("mushroom", "toadstool"), 20, 0.9),
    Concept("leaf", ("leaf",), 35, 1.1),
    Concept("cup", ("cup", "mug"), 15, 1.1),
    Concept("key", ("key",), 30, 0.8),
    Concept("umbrella", ("umbrella", "parasol"), 25, 0.9),
    Concept("bottle", ("bottle", "flask"), 25, 1.1),
    Concept("butterfly", ("butterfly",), 20, 1.0),
    Concept("boat", ("boat", "sailboat"), 15, 1.0),
)

CONCEPTS: tuple[str, ...] = tuple(concept.name for concept in CATALOGUE)

COMPANIONS: tuple[tuple[str, str, float], ...] = (
    ("umbrella", "drop", 6.0),
    ("umbrella", "lightning", 4.0),
    ("flower", "butterfly", 6.0),
    ("mushroom", "leaf", 6.0),
    ("flower", "leaf", 3.0),
    ("fish", "boat", 6.0),
    ("star", "crescent", 6.0),
    ("house", "key", 4.0),
    ("cup", "bottle", 6.0),
    ("heart", "arrow", 4.0),
    ("gear", "spiral", 3.0),
    ("disc", "ring", 3.0),
    ("square", "triangle", 3.0),
)
"""Pairs that occur together more often, and by which factor."""


def _affinity() -> Array:
    """Return the symmetric ``(C, C)`` table of co-occurrence factors: 1 off the pairs, 0 on the diagonal."""
    table = np.ones((len(CONCEPTS), len(CONCEPTS)), dtype=np.float32)
    for first, second, factor in COMPANIONS:
        i, j = CONCEPTS.index(first), CONCEPTS.index(second)
        table[i, j] = table[j, i] = factor
    np.fill_diagonal(table, 0.0)
    table.setflags(write=False)
    return table


AFFINITY: Array = _affinity()
WEIGHTS: Array = np.array([concept.weight for concept in CATALOGUE], dtype=np.float32)
WEIGHTS.setflags(write=False)


def choose_concepts(rng: np.random.Generator, count: int) -> tuple[int, ...]:
    """Draw ``count`` different concepts, each one liking the company of those before it.

    Args:
        rng: the scene's generator.
        count: number of concepts, 1 to ``C``.

    Returns:
        Indices into ``CONCEPTS``, in the order drawn.
    """
    chosen: list[int] = []
    weight = WEIGHTS.astype(np.float64)
    for _ in range(count):
        concept = int(rng.choice(len(CONCEPTS), p=weight / weight.sum()))
        chosen.append(concept)
        weight = weight * AFFINITY[concept]
    return tuple(chosen)
