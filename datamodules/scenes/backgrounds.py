"""Backgrounds with the statistics of photographs: dead leaves, 1/f noise and mixtures, in natural colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.scenes.concepts import Array
from datamodules.scenes.textures import power_law_noise

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Palette:
    """The colours of a kind of place.

    Attributes:
        phrase: what a caption says after the objects.
        short: one adjective for the shorter captions.
        colours: four colours from the darkest to the brightest, components in [0, 1].
    """

    phrase: str
    short: str
    colours: tuple[Colour, Colour, Colour, Colour]


PALETTES: tuple[Palette, ...] = (
    Palette("on a beach", "sandy", ((0.45, 0.36, 0.26), (0.66, 0.55, 0.4), (0.8, 0.71, 0.55), (0.92, 0.87, 0.75))),
    Palette(
        "in a meadow",
        "grassy",
        ((0.14, 0.22, 0.08), (0.28, 0.4, 0.14), (0.46, 0.56, 0.24), (0.7, 0.74, 0.42)),
    ),
    Palette("in a forest", "woody", ((0.06, 0.09, 0.06), (0.17, 0.2, 0.11), (0.3, 0.31, 0.19), (0.52, 0.52, 0.36))),
    Palette("in the sky", "cloudy", ((0.28, 0.43, 0.62), (0.46, 0.62, 0.8), (0.68, 0.79, 0.9), (0.94, 0.95, 0.97))),
    Palette("at sea", "watery", ((0.03, 0.14, 0.22), (0.08, 0.29, 0.38), (0.22, 0.47, 0.53), (0.62, 0.78, 0.78))),
    Palette("in the snow", "snowy", ((0.5, 0.56, 0.66), (0.7, 0.75, 0.82), (0.84, 0.87, 0.91), (0.97, 0.97, 0.98))),
    Palette(
        "among rocks",
        "stony",
        ((0.16, 0.15, 0.15), (0.34, 0.33, 0.31), (0.52, 0.5, 0.47), (0.75, 0.73, 0.69)),
    ),
    Palette("at sunset", "glowing", ((0.22, 0.12, 0.24), (0.5, 0.25, 0.3), (0.82, 0.48, 0.32), (0.97, 0.8, 0.55))),
    Palette("in autumn", "rusty", ((0.17, 0.09, 0.05), (0.4, 0.21, 0.09), (0.62, 0.38, 0.15), (0.82, 0.64, 0.33))),
    Palette(
        "by a wall",
        "earthen",
        ((0.26, 0.14, 0.11), (0.46, 0.28, 0.22), (0.6, 0.42, 0.34), (0.77, 0.63, 0.54)),
    ),
    Palette("at night", "dark", ((0.02, 0.02, 0.05), (0.07, 0.08, 0.14), (0.15, 0.16, 0.25), (0.36, 0.36, 0.44))),
    Palette("on a heath", "misty", ((0.25, 0.2, 0.26), (0.42, 0.36, 0.42), (0.58, 0.54, 0.57), (0.78, 0.75, 0.76))),
)


@dataclass(frozen=True)
class Background:
    """What a background looks like, at any size.

    Attributes:
        palette: index into ``PALETTES``.
        exponent: of the 1/f amplitude spectrum, 0.85 to 1.3.
        contrast: spread of the 1/f noise over the palette, 0.14 to 0.3.
        leaves: opacity of the dead leaves in [0, 1]; 0 for a background without.
        smallest: radius of the smallest leaves as a fraction of the picture.
        stream: seed of the noise and the leaves.
    """

    palette: int
    exponent: float
    contrast: float
    leaves: float
    smallest: float
    stream: int


def draw_background(rng: np.random.Generator) -> Background:
    """Draw a background: a third noise, a third dead leaves, a third both."""
    kind = int(rng.integers(3))
    opacity = (0.0, 1.0, float(rng.uniform(0.35, 0.8)))[kind]
    return Background(
        palette=int(rng.integers(len(PALETTES))),
        exponent=float(rng.uniform(0.85, 1.3)),
        contrast=float(rng.uniform(0.14, 0.3)),
        leaves=opacity,
        smallest=float(rng.uniform(0.02, 0.06)),
        stream=int(rng.integers(2**31)),
    )


def mean_colour(background: Background) -> Colour:
    """Return the middle of a background's palette."""
    red, green, blue = np.mean(PALETTES[background.palette].colours, axis=0)
    return float(red), float(green), float(blue)


def _colourise(tone: Array, palette: Palette) -> Array:
    """Map tones in [0, 1] to the palette's colours: one more axis, of 3."""
    knots = np.linspace(0, 1, len(palette.colours))
    channels = [np.interp(tone, knots, channel) for channel in zip(*palette.colours, strict=True)]
    return np.stack(channels, axis=-1).astype(np.float32)


_LEAVES = 72
_LARGEST = 0.45


def _leaf_weights(size: int, background: Background, rng: np.random.Generator) -> Array:
    """Return how much of each pixel each leaf shows, front to back: ``(N, size, size)``, sums at most 1."""
    # Radii with density r^-3 make the picture scale invariant: photographs' statistics of occlusion.
    low, high = background.smallest**-2, _LARGEST**-2
    radius = (high + rng.random(_LEAVES) * (low - high)) ** -0.5
    aspect = np.exp(rng.uniform(-0.7, 0.7, _LEAVES))
    turn, cx, cy = rng.uniform(0, np.pi, _LEAVES), *rng.uniform(-0.1, 1.1, (2, _LEAVES))
    axis = (np.arange(size) + 0.5) / size
    dx, dy = axis[None] - cx[:, None], axis[None] - cy[:, None]
    cos, sin = (np.cos(turn) / radius)[:, None], (np.sin(turn) / radius)[:, None]
    stretch = aspect[:, None]
    u = (cos * dx * stretch).astype(np.float32)[:, None, :] + (sin * dy * stretch).astype(np.float32)[:, :, None]
    v = (-sin * dx / stretch).astype(np.float32)[:, None, :] + (cos * dy / stretch).astype(np.float32)[:, :, None]
    distance = np.empty_like(u)
    np.hypot(u[0::2], v[0::2], out=distance[0::2])
    np.maximum(np.abs(u[1::2]), np.abs(v[1::2]), out=distance[1::2])
    sharpness = (radius * size).astype(np.float32)[:, None, None]
    hidden = np.clip((distance - 1) * sharpness + 0.5, 0, 1)
    behind = np.cumprod(hidden, axis=0)
    return -np.diff(behind, axis=0, prepend=np.ones_like(behind[:1]))


def _dead_leaves(size: int, background: Background, ground: Array) -> Array:
    """Cover ``ground`` ``(size, size, 3)`` with leaves of the palette's colours."""
    rng = np.random.default_rng((background.stream, 1))
    weights = _leaf_weights(size, background, rng)
    tones = np.clip(rng.normal(0.5, 1.2 * background.contrast, _LEAVES), 0, 1).astype(np.float32)
    colours = _colourise(tones, PALETTES[background.palette])
    colours *= (1 + 0.06 * rng.standard_normal((_LEAVES, 3))).astype(np.float32)
    painted = np.einsum("nyx,nc->yxc", weights, colours)
    return painted + ground * (1 - weights.sum(axis=0))[..., None]


def render_background(background: Background, size: int) -> Array:
    """Paint a background.

    Args:
        background: what it looks like.
        size: side in pixels.

    Returns:
        float32 ``(size, size, 3)``, about [0, 1], not clipped.
    """
    noise = power_law_noise(size, background.exponent, background.stream)
    ground = _colourise(0.5 + np.float32(background.contrast) * noise, PALETTES[background.palette])
    if background.leaves > 0:
        covered = _dead_leaves(size, background, ground)
        ground = ground + np.float32(background.leaves) * (covered - ground)
        ground *= 1 + np.float32(0.6 * background.contrast) * noise[::-1, :, None]
    # Photographs' colour channels are correlated, not functions of each other: a little free chroma.
    chroma = power_law_noise(size, background.exponent, background.stream + 1)
    axis = np.array((1.0, -0.3, -0.7), dtype=np.float32)
    return ground + np.float32(0.03) * chroma[..., None] * axis
