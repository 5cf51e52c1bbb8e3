"""Pictures for reports and logs: strips, grids, framed retrieval lists; uint8 numpy in, uint8 numpy out.

Every image here is a uint8 array ``(H, W, 3)`` in 0..255, RGB. No function modifies its arguments.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Kind = Literal["hit", "target", "both", "miss"]

PREFERRED_SIZE = 128
"""Small images are enlarged by the whole factor that brings their longer side closest to this."""

BACKGROUND = 255
HIT_COLOUR = (0, 158, 115)
TARGET_COLOUR = (213, 94, 0)
MISS_COLOUR = (160, 160, 160)
QUERY_COLOUR = (40, 44, 56)


def _check(image: Picture, name: str = "image", shape: tuple[int, ...] | None = None) -> None:
    """Raise unless ``image`` is uint8 ``(H, W, 3)``, not empty, and of ``shape`` where one is given."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"{name} must be a uint8 numpy array, got {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"{name} must have the shape (H, W, 3) with H, W > 0, got {image.shape}")
    if shape is not None and image.shape != shape:
        raise ValueError(f"{name} must have the shape {shape} of the other images, got {image.shape}")


def _check_all(images: Sequence[Picture], name: str = "images") -> None:
    """Raise unless ``images`` holds at least one image and all are of one shape."""
    if len(images) == 0:
        raise ValueError(f"{name} must hold at least one image")
    for position, image in enumerate(images):
        _check(image, f"{name}[{position}]", images[0].shape if position else None)


def _check_whole(value: int, name: str, least: int) -> None:
    """Raise unless ``value`` is a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")


def enlarge(image: Picture, scale: int | None = None) -> Picture:
    """Enlarge by nearest neighbour, so that a pixel stays a sharp square.

    Args:
        image: uint8 ``(H, W, 3)``.
        scale: whole factor >= 1; None picks the one that brings the longer side close to 128 pixels
            (4 for a 32-pixel image, 1 for a 224-pixel image).

    Returns:
        uint8 ``(scale * H, scale * W, 3)``.
    """
    _check(image)
    if scale is None:
        scale = max(1, round(PREFERRED_SIZE / max(image.shape[:2])))
    _check_whole(scale, "scale", 1)
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def amplified_difference(original: Picture, changed: Picture, gain: float = 10) -> Picture:
    """Show the signed difference ``changed - original``, amplified, around mid-grey.

    Args:
        original: uint8 ``(H, W, 3)``.
        changed: uint8 ``(H, W, 3)``, the same shape.
        gain: positive factor on the difference.

    Returns:
        uint8 ``(H, W, 3)``: 128 where nothing changed, lighter where ``changed`` is larger; clipped.
    """
    _check(original, "original")
    _check(changed, "changed", original.shape)
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain must be positive and finite, got {gain!r}")
    difference = changed.astype(np.float64) - original.astype(np.float64)
    return np.rint(127.5 + gain * difference).clip(0, 255).astype(np.uint8)


def grid(images: Sequence[Picture], columns: int, gap: int = 2) -> Picture:
    """Lay images of one shape out in rows on a white ground.

    Args:
        images: at least one uint8 ``(H, W, 3)``, all of one shape.
        columns: images per row, >= 1; the last row may stay incomplete.
        gap: white pixels between neighbours, >= 0.

    Returns:
        uint8 ``(rows * (H + gap) - gap, columns * (W + gap) - gap, 3)``.
    """
    _check_all(images)
    _check_whole(columns, "columns", 1)
    _check_whole(gap, "gap", 0)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    canvas = np.full(shape, BACKGROUND, np.uint8)
    for position, image in enumerate(images):
        top = position // columns * (height + gap)
        left = position % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def strip(
    original: Picture,
    attacked: Picture,
    purified: Picture,
    gain: float = 10,
    scale: int | None = None,
    gap: int = 2,
) -> Picture:
    """Compose one sample: original | attacked | purified | attacked - original | purified - original.

    Args:
        original: uint8 ``(H, W, 3)``.
        attacked: uint8 ``(H, W, 3)``.
        purified: uint8 ``(H, W, 3)``.
        gain: factor on the two differences (see ``amplified_difference``).
        scale: whole enlargement, None for about 128 pixels (see ``enlarge``).
        gap: white pixels between the five panels.

    Returns:
        uint8 ``(scale * H, 5 * scale * W + 4 * gap, 3)``.
    """
    _check(original, "original")
    _check(attacked, "attacked", original.shape)
    _check(purified, "purified", original.shape)
    attack = amplified_difference(original, attacked, gain)
    residue = amplified_difference(original, purified, gain)
    panels = [enlarge(panel, scale) for panel in (original, attacked, purified, attack, residue)]
    return grid(panels, columns=5, gap=gap)


def trajectory(images: Sequence[Picture], scale: int | None = None, gap: int = 2) -> Picture:
    """Show the states of one purification, ``x_0 -> x_t -> ...``, from left to right.

    Args:
        images: at least one uint8 ``(H, W, 3)``, all of one shape.
        scale: whole enlargement, None for about 128 pixels.
        gap: white pixels between neighbours.

    Returns:
        uint8 ``(scale * H, n * (scale * W + gap) - gap, 3)``.
    """
    _check_all(images)
    return grid([enlarge(image, scale) for image in images], columns=len(images), gap=gap)


def _frame(image: Picture, kind: Kind | Literal["query"], width: int = 4) -> Picture:
    """Frame an image; the frames differ by form as well as by colour (dashed target, thin miss)."""
    height, length = image.shape[0] + 2 * width, image.shape[1] + 2 * width
    canvas = np.full((height, length, 3), BACKGROUND, np.uint8)
    rows, columns = np.arange(height)[:, None], np.arange(length)[None, :]
    if kind == "query":
        canvas[:] = QUERY_COLOUR
    elif kind == "hit":
        canvas[:] = HIT_COLOUR
    elif kind == "target":
        canvas[(rows + columns) // (2 * width) % 2 == 0] = TARGET_COLOUR
    elif kind == "both":
        canvas[:] = HIT_COLOUR
        canvas[rows * length + columns * height >= height * length] = TARGET_COLOUR
    else:
        thin = width - 1
        canvas[thin:-thin, thin:-thin] = MISS_COLOUR
    canvas[width:-width, width:-width] = image
    return canvas


def retrieval_list(
    query: Picture, hits: Sequence[Picture], kinds: Sequence[Kind], scale: int | None = None, gap: int = 6
) -> Picture:
    """Show a query (dark frame) and what it retrieves, best first, framed by what it is.

    The frames differ by form and by colour: ``hit`` (shares a label with the query) solid green, ``target``
    (shares one with the attacker's target) dashed vermilion, ``both`` half green and half vermilion, ``miss``
    thin grey.

    Args:
        query: uint8 ``(H, W, 3)``.
        hits: at least one uint8 ``(H, W, 3)``, ranked, of the query's shape.
        kinds: one of ``hit``, ``target``, ``both`` and ``miss`` per ranked image.
        scale: whole enlargement, None for about 128 pixels.
        gap: white pixels between the ranked images; four times as many after the query.

    Returns:
        uint8 ``(H', W', 3)``.
    """
    _check(query, "query")
    if len(hits) != len(kinds):
        raise ValueError(f"kinds must name one kind per ranked image, got {len(kinds)} for {len(hits)} images")
    _check_all([query, *hits], "the query and its hits")
    if len(hits) == 0:
        raise ValueError("hits must hold at least one image")
    for kind in kinds:
        if kind not in get_args(Kind):
            raise ValueError(f"kinds must be among {', '.join(get_args(Kind))}, got {kind!r}")
    framed = [_frame(enlarge(image, scale), kind) for image, kind in zip(hits, kinds, strict=True)]
    ranked = grid(framed, columns=len(framed), gap=gap)
    space = np.full((ranked.shape[0], 4 * gap, 3), BACKGROUND, np.uint8)
    return np.concatenate([_frame(enlarge(query, scale), "query"), space, ranked], axis=1)


def png_bytes(image: Picture) -> bytes:
    """Encode a uint8 image ``(H, W, 3)`` as a PNG file, without loss."""
    _check(image)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(image: Picture) -> str:
    """Encode a uint8 image ``(H, W, 3)`` as a ``data:image/png;base64,...`` address."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")
