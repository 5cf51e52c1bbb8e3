"""What is in a scene and where: drawn once per scene, in units of the picture's side, so true at any size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.scenes.backgrounds import Background, Colour, draw_background, mean_colour
from datamodules.scenes.concepts import CATALOGUE, choose_concepts
from datamodules.scenes.lighting import Light, draw_light
from datamodules.scenes.textures import TEXTURES
from lightning_modules.randomness import sample_numpy_generator

COLOURS: dict[str, Colour] = {
    "red": (0.82, 0.14, 0.13),
    "orange": (0.94, 0.52, 0.1),
    "yellow": (0.95, 0.85, 0.2),
    "green": (0.2, 0.62, 0.22),
    "turquoise": (0.15, 0.7, 0.68),
    "blue": (0.15, 0.32, 0.8),
    "purple": (0.5, 0.2, 0.66),
    "pink": (0.95, 0.55, 0.7),
    "brown": (0.42, 0.25, 0.13),
    "white": (0.94, 0.94, 0.93),
    "grey": (0.5, 0.5, 0.52),
    "black": (0.08, 0.08, 0.09),
}
"""The colours of objects, by the name that captions use."""

_COUNT_ODDS = (0.4, 0.35, 0.25)
_SCALES = ((0.5, 0.85), (0.44, 0.56), (0.38, 0.46))
_TEXTURE_ODDS = (0.4, 0.15, 0.15, 0.15, 0.15)


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Attributes:
        concept: index into ``CONCEPTS``.
        x: centre, as a fraction of the picture's side from the left.
        y: centre, from the top.
        scale: diameter as a fraction of the picture's side.
        angle: rotation in radians.
        mirrored: whether left and right are swapped.
        colour_name: key of ``COLOURS``.
        colour: main colour, components in [0, 1].
        accent: second colour of the texture.
        texture: one of ``TEXTURES``.
        texture_angle: direction of the texture in radians.
        frequency: periods of the texture across the object.
        outline: opacity of a dark or bright rim in [0, 1]; 0 for none.
        stream: seed of the mottled texture.
    """

    concept: int
    x: float
    y: float
    scale: float
    angle: float
    mirrored: bool
    colour_name: str
    colour: Colour
    accent: Colour
    texture: str
    texture_angle: float
    frequency: float
    outline: float
    stream: int


@dataclass(frozen=True)
class Layout:
    """All that a scene shows.

    Attributes:
        things: one to three objects of different concepts, back to front.
        background: what is behind them.
        light: what lights them.
        blur: standard deviation of the lens blur as a fraction of the picture's side, 0 for none.
        noise: standard deviation of the sensor noise, 0 to 0.04.
    """

    things: tuple[Thing, ...]
    background: Background
    light: Light
    blur: float
    noise: float


def _place(rng: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """Draw ``count`` circles ``(x, y, diameter)`` that hardly overlap, by rejection."""
    scales = rng.uniform(*_SCALES[count - 1], count)
    while True:
        for _ in range(25):
            margin = 0.46 * scales
            spots = margin + rng.random((2, count)) * (1 - 2 * margin)
            gap = np.hypot(*(spots[:, :, None] - spots[:, None, :])) - 0.45 * (scales[:, None] + scales[None])
            if (gap[np.triu_indices(count, 1)] >= 0).all():
                return [(float(x), float(y), float(s)) for x, y, s in zip(*spots, scales, strict=True)]
        scales = scales * 0.95


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return red, green, blue


def _pick_colour(rng: np.random.Generator, behind: Colour) -> tuple[str, Colour]:
    """Draw a colour that stands out from what is behind; any will do after some tries."""
    names = list(COLOURS)
    for _ in range(12):
        name = names[int(rng.integers(len(names)))]
        red, green, blue = np.clip(np.array(COLOURS[name]) + rng.normal(0, 0.03, 3), 0, 1)
        colour = (float(red), float(green), float(blue))
        if np.linalg.norm(np.subtract(colour, behind)) > 0.42:
            break
    return name, colour


def _draw_thing(rng: np.random.Generator, concept: int, place: tuple[float, float, float], behind: Colour) -> Thing:
    name, colour = _pick_colour(rng, behind)
    bright = sum(colour) / 3 > 0.5
    accent = _mix(colour, (0.05, 0.05, 0.08) if bright else (0.97, 0.96, 0.93), float(rng.uniform(0.35, 0.6)))
    tilt = np.deg2rad(CATALOGUE[concept].tilt)
    return Thing(
        concept=concept,
        x=place[0],
        y=place[1],
        scale=place[2],
        angle=float(rng.uniform(-tilt, tilt)),
        mirrored=bool(rng.random() < 0.5),
        colour_name=name,
        colour=colour,
        accent=accent,
        texture=TEXTURES[int(rng.choice(len(TEXTURES), p=_TEXTURE_ODDS))],
        texture_angle=float(rng.uniform(0, np.pi)),
        frequency=float(rng.uniform(2.0, 3.5)),
        outline=float(rng.uniform(0.5, 0.9)) if rng.random() < 0.3 else 0.0,
        stream=int(rng.integers(2**31)),
    )


def draw_layout(seed: int, scene_id: str) -> Layout:
    """Draw what a scene shows: a function of the seed and the scene's id, of nothing else.

    Args:
        seed: seed of the data set.
        scene_id: stable id of the scene.
    """
    rng = sample_numpy_generator(seed, "scene-layout", scene_id)
    background = draw_background(rng)
    behind = mean_colour(background)
    count = 1 + int(rng.choice(3, p=_COUNT_ODDS))
    concepts = choose_concepts(rng, count)
    places = _place(rng, count)
    things = tuple(_draw_thing(rng, c, p, behind) for c, p in zip(concepts, places, strict=True))
    return Layout(
        things=things,
        background=background,
        light=draw_light(rng),
        blur=float(rng.uniform(0.008, 0.018)) if rng.random() < 0.4 else 0.0,
        noise=float(rng.uniform(0.0, 0.035)),
    )
