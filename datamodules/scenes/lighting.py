"""Light: where it comes from, how it shades objects, and the shadow that they throw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.scenes.concepts import Array
from datamodules.scenes.textures import blur


@dataclass(frozen=True)
class Light:
    """The light of a scene.

    Attributes:
        direction: unit vector towards the light, x to the right and y down.
        gradient: how much brighter the background is towards the light, 0 to 0.4.
        shading: how much objects are shaded, 0 to 0.5.
        shadow: opacity of shadows, 0 to 0.5.
        softness: blur of shadows relative to the object's radius.
        tint: colour of the light ``(r, g, b)``, each about 1.
    """

    direction: tuple[float, float]
    gradient: float
    shading: float
    shadow: float
    softness: float
    tint: tuple[float, float, float]


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a light, mostly from above."""
    angle = rng.normal(0.0, 0.9)
    warmth = rng.normal(0.0, 0.05)
    return Light(
        direction=(float(np.sin(angle)), float(-np.cos(angle))),
        gradient=float(rng.uniform(0.0, 0.4)),
        shading=float(rng.uniform(0.1, 0.45)),
        shadow=float(rng.uniform(0.0, 0.5)),
        softness=float(rng.uniform(0.08, 0.3)),
        tint=(float(1 + warmth), 1.0, float(1 - warmth)),
    )


def light_gradient(light: Light, size: int) -> Array:
    """Return the light on the background: float32 ``(size, size, 1)``, 1 in the middle."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    slope = axis[None, :] * light.direction[0] + axis[:, None] * light.direction[1]
    return (1 + np.float32(light.gradient) * slope)[..., None].astype(np.float32)


def shade(light: Light, mask: Array, x: Array, y: Array, radius: float) -> Array:
    """Return the light on an object: a body gradient and an embossed rim.

    Args:
        light: the scene's light.
        mask: float32 ``(H, W)`` in [0, 1], the object's coverage.
        x: float32 ``(H, W)``, offset from the object's centre in object radii, picture axes.
        y: float32 ``(H, W)``, the same downwards.
        radius: the object's radius in pixels.

    Returns:
        float32 ``(H, W, 1)``, about 1.
    """
    body = np.clip(x * light.direction[0] + y * light.direction[1], -1, 1)
    soft = blur(mask, 0.12 * radius)
    slope_y, slope_x = np.gradient(soft)
    rim = -(slope_x * light.direction[0] + slope_y * light.direction[1]) * np.float32(0.35 * radius)
    return (1 + np.float32(light.shading) * (0.8 * body + np.clip(rim, -1, 1)))[..., None].astype(np.float32)


def shadow(light: Light, mask: Array, radius: float) -> Array:
    """Return the factor by which a shadow darkens what is behind an object.

    Args:
        light: the scene's light.
        mask: float32 ``(H, W)`` in [0, 1], the object's coverage.
        radius: the object's radius in pixels.

    Returns:
        float32 ``(H, W, 1)`` in (0, 1].
    """
    soft = blur(mask, light.softness * radius)
    moved = np.zeros_like(soft)
    height, width = soft.shape
    dx, dy = (round(-0.25 * radius * component) for component in light.direction)
    moved[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = soft[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    return (1 - np.float32(light.shadow) * moved)[..., None]
