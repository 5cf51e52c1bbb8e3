"""From a scene's layout to its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.scenes.backgrounds import render_background
from datamodules.scenes.captions import write_caption
from datamodules.scenes.concepts import CONCEPTS, Array
from datamodules.scenes.layout import Layout, Thing, draw_layout
from datamodules.scenes.lighting import Light, light_gradient, shade, shadow
from datamodules.scenes.shapes import coverage
from datamodules.scenes.textures import blur, pattern
from lightning_modules.randomness import sample_numpy_generator


@dataclass(frozen=True)
class Scene:
    """A generated picture with what is known of it.

    Attributes:
        image: uint8 ``(size, size, 3)``, RGB.
        label: uint8 ``(C,)``, 1 for every concept in the picture, in the order of ``CONCEPTS``.
        caption: an English phrase that names the same concepts.
    """

    image: npt.NDArray[np.uint8]
    label: npt.NDArray[np.uint8]
    caption: str


def layout_label(layout: Layout) -> npt.NDArray[np.uint8]:
    """Return the multi-hot label of a scene, uint8 ``(C,)``."""
    label = np.zeros(len(CONCEPTS), dtype=np.uint8)
    label[[thing.concept for thing in layout.things]] = 1
    return label


def _span(centre: float, reach: float, size: int) -> tuple[int, int]:
    """Return the pixels that an object and its shadow can touch along one axis."""
    return max(0, int((centre - reach) * size)), min(size, int((centre + reach) * size) + 1)


def _frame(thing: Thing, columns: Array, rows: Array, angle: float) -> tuple[Array, Array]:
    """Turn picture positions, in fractions, into coordinates of the object, which spans [-1, 1]."""
    dx, dy = (columns - thing.x) * 2 / thing.scale, (rows - thing.y) * 2 / thing.scale
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = cos * dx[None] + sin * dy[:, None], cos * dy[:, None] - sin * dx[None]
    return (-x if thing.mirrored else x), y


def _ticks(span: tuple[int, int], factor: int, size: int) -> Array:
    """Return sample positions of a span of pixels, ``factor`` in each, as fractions of the side."""
    return (np.arange(span[0] * factor, span[1] * factor, dtype=np.float32) + 0.5) / np.float32(size * factor)


def _paint_thing(image: Array, thing: Thing, light: Light) -> None:
    """Paint an object with its shadow onto ``image`` float32 ``(size, size, 3)``, in place."""
    size = len(image)
    reach = 0.72 * thing.scale
    across, down = _span(thing.x, reach, size), _span(thing.y, reach, size)
    factor = 3 if size < 48 else 2
    mask = coverage(
        thing.concept,
        *_frame(thing, _ticks(across, factor, size), _ticks(down, factor, size), thing.angle),
        factor,
    )
    columns, rows = _ticks(across, 1, size), _ticks(down, 1, size)
    radius = 0.5 * thing.scale * size
    second = pattern(thing.texture, *_frame(thing, columns, rows, thing.texture_angle), thing.frequency, thing.stream)[
        ..., None
    ]
    colour = np.array(thing.colour, dtype=np.float32)
    accent = np.array(thing.accent, dtype=np.float32)
    surface: Array = colour + second * (accent - colour)
    if thing.outline > 0:
        inner = np.clip((blur(mask, max(0.5, 0.08 * radius)) - 0.55) / 0.35, 0, 1)[..., None]
        ink = np.float32(0.92 if thing.colour[1] < 0.35 else 0.08)
        surface += np.float32(thing.outline) * (1 - inner) * (ink - surface)
    dx, dy = (columns - thing.x) * (2 / thing.scale), (rows - thing.y) * (2 / thing.scale)
    surface = surface * shade(light, mask, dx[None], dy[:, None], radius)
    patch = image[down[0] : down[1], across[0] : across[1]]
    patch *= shadow(light, mask, radius)
    patch += mask[..., None] * (surface - patch)


def render_layout(layout: Layout, size: int, noise: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Paint a scene.

    Args:
        layout: what it shows.
        size: side in pixels.
        noise: generator of the sensor noise, the only part of a picture that differs with its size.

    Returns:
        uint8 ``(size, size, 3)``, RGB.
    """
    image = render_background(layout.background, size) * light_gradient(layout.light, size)
    for thing in layout.things:
        _paint_thing(image, thing, layout.light)
    image = blur(image * np.array(layout.light.tint, dtype=np.float32), layout.blur * size)
    image += np.float32(layout.noise) * noise.standard_normal(image.shape, dtype=np.float32)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def render_scene(seed: int, scene_id: str, size: int) -> Scene:
    """Make one scene: the picture is a function of the arguments, its content of the first two.

    Args:
        seed: seed of the data set.
        scene_id: stable id of the scene.
        size: side in pixels, 16 or more.
    """
    if size < 16:
        raise ValueError(f"a scene needs at least 16 pixels a side to show anything, got size={size}")
    layout = draw_layout(seed, scene_id)
    noise = sample_numpy_generator(seed, "scene-noise", scene_id)
    return Scene(
        image=render_layout(layout, size, noise),
        label=layout_label(layout),
        caption=write_caption(layout, seed, scene_id),
    )
