"""English captions: the objects by one of their names, what they look like, and the place."""

from __future__ import annotations

import numpy as np

from datamodules.scenes.backgrounds import PALETTES
from datamodules.scenes.concepts import CATALOGUE
from datamodules.scenes.layout import Layout, Thing
from lightning_modules.randomness import sample_numpy_generator

_LARGE = ("large", "big", "huge")
_SMALL = ("small", "little", "tiny")
_TEMPLATES = (
    "{things} {place}",
    "a photo of {things} {place}",
    "{things} on {ground} background",
    "{things} in front of {ground} background",
    "{place} there is {things}",
    "{ground} picture showing {things}",
    "here we see {things} {place}",
    "{things}",
)


def _choose(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _describe(rng: np.random.Generator, thing: Thing) -> str:
    """Name one object with some of its adjectives, in the order that English wants, and its article."""
    words: list[str] = []
    if rng.random() < 0.7 and thing.scale > 0.6:
        words.append(_choose(rng, _LARGE))
    elif rng.random() < 0.7 and thing.scale < 0.42:
        words.append(_choose(rng, _SMALL))
    if rng.random() < 0.75 and thing.texture != "flat":
        words.append(thing.texture)
    if rng.random() < 0.85:
        words.append(thing.colour_name)
    words.append(_choose(rng, CATALOGUE[thing.concept].words))
    return _with_article(" ".join(words))


def _enumerate(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def write_caption(layout: Layout, seed: int, scene_id: str) -> str:
    """Describe a scene in one English phrase that names every object, in lower case.

    Args:
        layout: the scene.
        seed: seed of the data set.
        scene_id: stable id of the scene.
    """
    rng = sample_numpy_generator(seed, "scene-caption", scene_id)
    order = rng.permutation(len(layout.things))
    things = [_describe(rng, layout.things[int(i)]) for i in order]
    palette = PALETTES[layout.background.palette]
    return _choose(rng, _TEMPLATES).format(
        things=_enumerate(things),
        place=palette.phrase,
        ground=_with_article(palette.short),
    )
