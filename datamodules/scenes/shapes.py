"""The shapes of the concepts as functions of the plane: negative inside, positive outside.

Every shape lives in the square [-1, 1]^2 with x to the right and y down. Only the sign of a field is used
(the renderer supersamples it), so the fields need not be exact distances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from datamodules.scenes.concepts import CONCEPTS, Array

Shape = Callable[[Array, Array], Array]


def _circle(x: Array, y: Array, cx: float, cy: float, radius: float) -> Array:
    return np.hypot(x - cx, y - cy) - radius


def _ellipse(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    return np.hypot((x - cx) / rx, (y - cy) / ry) - 1


def _box(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    return np.maximum(np.abs(x - cx) - rx, np.abs(y - cy) - ry)


def _union(*fields: Array) -> Array:
    result = fields[0]
    for field in fields[1:]:
        result = np.minimum(result, field)
    return result


def _without(field: Array, hole: Array) -> Array:
    return np.maximum(field, -hole)


def _band(field: Array, half_width: float) -> Array:
    """Return the line along the border of a shape."""
    return np.maximum(field - half_width, -field - half_width)


def _polygon(x: Array, y: Array, corners: Sequence[tuple[float, float]]) -> Array:
    """Return -1 inside the polygon and +1 outside, by the even-odd rule."""
    inside = np.zeros(np.broadcast(x, y).shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * ((y - y0) / (y1 - y0)) + x0)
    return np.where(inside, np.float32(-1), np.float32(1))


def _disc(x: Array, y: Array) -> Array:
    return _circle(x, y, 0, 0, 0.92)


def _ring(x: Array, y: Array) -> Array:
    return _band(_circle(x, y, 0, 0, 0.73), 0.22)


def _square(x: Array, y: Array) -> Array:
    return _box(x, y, 0, 0, 0.78, 0.78)


def _triangle(x: Array, y: Array) -> Array:
    return _polygon(x, y, ((0, -0.95), (0.95, 0.7), (-0.95, 0.7)))


def _star(x: Array, y: Array) -> Array:
    turn = np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
    corners = [(float(r * np.sin(t)), float(-r * np.cos(t))) for r, t in zip(radius, turn, strict=True)]
    return _polygon(x, y, corners)


def _cross(x: Array, y: Array) -> Array:
    return _union(_box(x, y, 0, 0, 0.95, 0.3), _box(x, y, 0, 0, 0.3, 0.95))


def _crescent(x: Array, y: Array) -> Array:
    return _without(_circle(x, y, 0, 0, 0.95), _circle(x, y, 0.45, -0.1, 0.75))


def _heart(x: Array, y: Array) -> Array:
    lobes = _union(_circle(x, y, -0.45, -0.35, 0.5), _circle(x, y, 0.45, -0.35, 0.5))
    return _union(lobes, _polygon(x, y, ((-0.86, -0.07), (0, -0.5), (0.86, -0.07), (0, 0.95))))


def _arrow(x: Array, y: Array) -> Array:
    head = _polygon(x, y, ((0.98, 0), (0.1, -0.75), (0.1, 0.75)))
    return _union(head, _box(x, y, -0.42, 0, 0.55, 0.24))


def _spiral(x: Array, y: Array) -> Array:
    radius, turn = np.hypot(x, y), np.arctan2(y, x) / (2 * np.pi)
    pitch = 0.5
    phase = np.mod(radius / pitch - turn, 1)
    return np.maximum(np.abs(phase - 0.5) - 0.24, radius - 0.98)


def _gear(x: Array, y: Array) -> Array:
    tooth = np.cos(8 * np.arctan2(y, x)) > 0
    rim = np.hypot(x, y) - np.where(tooth, np.float32(0.97), np.float32(0.7))
    return _without(rim, _circle(x, y, 0, 0, 0.3))


def _flower(x: Array, y: Array) -> Array:
    petals = np.hypot(x, y) - (0.66 + 0.31 * np.cos(5 * np.arctan2(y, x)))
    return _without(petals, _band(_circle(x, y, 0, 0, 0.28), 0.06))


def _drop(x: Array, y: Array) -> Array:
    return _union(_circle(x, y, 0, 0.37, 0.58), _polygon(x, y, ((0, -0.98), (0.53, 0.15), (-0.53, 0.15))))


def _lightning(x: Array, y: Array) -> Array:
    corners = (
        (0.25, -0.98),
        (-0.6, 0.15),
        (-0.08, 0.15),
        (-0.3, 0.98),
        (0.62, -0.25),
        (0.08, -0.25),
        (0.6, -0.98),
    )
    return _polygon(x, y, corners)


def _fish(x: Array, y: Array) -> Array:
    body = _ellipse(x, y, 0.25, 0, 0.73, 0.46)
    tail = _polygon(x, y, ((-0.3, 0), (-0.98, -0.58), (-0.78, 0), (-0.98, 0.58)))
    return _without(_union(body, tail), _circle(x, y, 0.6, -0.12, 0.1))


def _house(x: Array, y: Array) -> Array:
    roof = _polygon(x, y, ((0, -0.95), (0.95, -0.1), (-0.95, -0.1)))
    walls = _union(_box(x, y, 0, 0.4, 0.68, 0.52), _box(x, y, 0.5, -0.6, 0.12, 0.3))
    return _without(_union(roof, walls), _box(x, y, 0.0, 0.62, 0.2, 0.32))


def _mushroom(x: Array, y: Array) -> Array:
    cap = np.maximum(_ellipse(x, y, 0, 0, 0.95, 0.9), y - 0.05)
    return _union(cap, _box(x, y, 0, 0.48, 0.26, 0.48))


def _leaf(x: Array, y: Array) -> Array:
    blade = np.maximum(_circle(x, y, -0.5, -0.15, 0.95), _circle(x, y, 0.5, -0.15, 0.95))
    vein = _box(x, y, 0, 0.1, 0.06, 0.55)
    return _union(_without(blade, vein), _box(x, y, 0, 0.8, 0.09, 0.2))


def _cup(x: Array, y: Array) -> Array:
    taper = 0.62 - 0.12 * (y + 0.7)
    bowl = np.maximum(np.abs(x + 0.25) - taper, np.abs(y) - 0.72)
    handle = _band(_ellipse(x, y, 0.34, -0.1, 0.5, 0.42), 0.24)
    return _union(bowl, np.maximum(handle, 0.2 - x))


def _key(x: Array, y: Array) -> Array:
    bow = _band(_circle(x, y, -0.55, 0, 0.3), 0.13)
    bits = _union(_box(x, y, 0.5, 0.25, 0.1, 0.25), _box(x, y, 0.82, 0.28, 0.12, 0.3))
    return _union(bow, _box(x, y, 0.35, 0, 0.6, 0.12), bits)


def _umbrella(x: Array, y: Array) -> Array:
    canopy = np.maximum(_circle(x, y, 0, 0, 0.97), y + 0.02 - 0.16 * np.abs(np.sin(x * 4.86)))
    hook = np.maximum(_band(_circle(x, y, 0.2, 0.68, 0.2), 0.09), 0.66 - y)
    return _union(canopy, _box(x, y, 0, 0.34, 0.09, 0.36), hook)


def _bottle(x: Array, y: Array) -> Array:
    body = _union(_box(x, y, 0, 0.5, 0.42, 0.47), _ellipse(x, y, 0, 0.05, 0.42, 0.4))
    return _union(body, _box(x, y, 0, -0.5, 0.16, 0.4), _box(x, y, 0, -0.86, 0.24, 0.11))


def _butterfly(x: Array, y: Array) -> Array:
    side = np.abs(x)
    wings = _union(_ellipse(side, y, 0.56, -0.35, 0.42, 0.52), _ellipse(side, y, 0.45, 0.45, 0.32, 0.42))
    return _union(wings, _ellipse(x, y, 0, 0.05, 0.1, 0.75))


def _boat(x: Array, y: Array) -> Array:
    hull = _polygon(x, y, ((-0.97, 0.4), (0.97, 0.4), (0.6, 0.95), (-0.6, 0.95)))
    sails = _union(
        _polygon(x, y, ((0.02, -0.97), (0.8, 0.22), (0.02, 0.22))),
        _polygon(x, y, ((-0.14, -0.7), (-0.14, 0.22), (-0.75, 0.22))),
    )
    return _union(hull, sails, _box(x, y, 0, 0.1, 0.05, 0.4))


_SHAPES: dict[str, Shape] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "crescent": _crescent,
    "heart": _heart,
    "arrow": _arrow,
    "spiral": _spiral,
    "gear": _gear,
    "flower": _flower,
    "drop": _drop,
    "lightning": _lightning,
    "fish": _fish,
    "house": _house,
    "mushroom": _mushroom,
    "leaf": _leaf,
    "cup": _cup,
    "key": _key,
    "umbrella": _umbrella,
    "bottle": _bottle,
    "butterfly": _butterfly,
    "boat": _boat,
}

SHAPES: tuple[Shape, ...] = tuple(_SHAPES[name] for name in CONCEPTS)
"""The shape of each concept, in the order of ``CONCEPTS``."""


def coverage(concept: int, x: Array, y: Array, factor: int) -> Array:
    """Return how much of each pixel a shape covers, by supersampling.

    Args:
        concept: index into ``CONCEPTS``.
        x: float32 ``(H * factor, W * factor)``, horizontal coordinate in the shape's own frame.
        y: float32 of the same shape, vertical coordinate, pointing down.
        factor: samples per pixel side, at least 1.

    Returns:
        float32 ``(H, W)`` in [0, 1].
    """
    inside = SHAPES[concept](x, y) < 0
    height, width = inside.shape
    counts = inside.reshape(height // factor, factor, width // factor, factor).sum(axis=(1, 3), dtype=np.float32)
    return counts / np.float32(factor * factor)
