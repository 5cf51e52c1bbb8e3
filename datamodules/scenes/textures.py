"""Fields over the picture: 1/f noise, blur, and the surface patterns of objects."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from datamodules.scenes.concepts import Array

TEXTURES: tuple[str, ...] = ("flat", "striped", "checked", "dotted", "mottled")
"""Surface patterns, named by the adjective of the captions; flat has no adjective there."""

_FIRST_BAND = 16


def _white(band: int, stream: int) -> npt.NDArray[np.complex64]:
    """Draw white coefficients ``(2 * band + 1, band + 1)``: vertical -band..band, horizontal 0..band."""
    rng = np.random.default_rng((stream, band))
    parts = rng.standard_normal((2 * band + 1, band + 1, 2), dtype=np.float32)
    return parts.view(np.complex64)[..., 0]


def _spectrum(half: int, stream: int) -> npt.NDArray[np.complex64]:
    """Draw coefficients as ``_white`` does, band by band, so that a larger picture only adds detail."""
    band = _FIRST_BAND
    result = _white(band, stream)
    while band < half:
        finer = _white(2 * band, stream)
        finer[band : 3 * band + 1, : band + 1] = result
        result, band = finer, 2 * band
    return result[band - half : band + half + 1, : half + 1]


@lru_cache(maxsize=16)
def _log_frequency(half: int) -> Array:
    """Return log |f| on the grid of ``_spectrum``; the mean's entry is 0 and must be masked by the caller."""
    vertical = np.arange(-half, half + 1, dtype=np.float32)[:, None]
    frequency = np.hypot(vertical, np.arange(half + 1, dtype=np.float32)[None])
    frequency[half, 0] = 1
    return np.log(frequency)


def _amplitude(half: int, exponent: float) -> Array:
    amplitude = np.exp(np.float32(-exponent) * _log_frequency(half))
    amplitude[half, 0] = 0
    return amplitude


def power_law_noise(size: int, exponent: float, stream: int) -> Array:
    """Draw noise with amplitude spectrum 1/f^exponent: the same picture at any size, up to its finest detail.

    Args:
        size: side of the picture in pixels.
        exponent: of the amplitude; photographs have about 1, white noise 0.
        stream: seed of the noise.

    Returns:
        float32 ``(size, size)``, mean 0 and variance about 1.
    """
    half = (size + 1) // 2
    coefficients = _spectrum(half, stream) * _amplitude(half, exponent)
    scale = np.sqrt(4 * np.square(_amplitude(_FIRST_BAND, exponent)).sum())
    side = 2 * half
    # Rows run from -half to half - 1; rolled, they are in the order that irfft2 expects.
    rolled = np.roll(coefficients[:-1], -half, axis=0)
    noise = np.fft.irfft2(rolled, s=(side, side)) * (side * side / scale)
    return noise[:size, :size].astype(np.float32)


def blur(image: Array, sigma: float) -> Array:
    """Blur the two leading axes by a Gaussian, edges replicated.

    Args:
        image: float32 ``(H, W)`` or ``(H, W, C)``.
        sigma: standard deviation in pixels; below a quarter of a pixel nothing happens.

    Returns:
        float32 of the same shape.
    """
    if sigma < 0.25:
        return image
    radius = max(1, round(2.5 * sigma))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * np.square(offsets / sigma))
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(radius, radius) if axis == a else (0, 0) for a in range(image.ndim)]
        padded = np.pad(image, padding, mode="edge")
        length = image.shape[axis]
        # Shifted sums, not a matrix product: BLAS would start threads of its own in every worker.
        image = np.zeros_like(image)
        for start, tap in enumerate(kernel):
            rows = slice(start, start + length)
            image += np.float32(tap) * (padded[rows] if axis == 0 else padded[:, rows])
    return image


def pattern(name: str, x: Array, y: Array, frequency: float, stream: int) -> Array:
    """Return where an object shows its second colour.

    Args:
        name: one of ``TEXTURES``.
        x: float32 ``(H, W)``, coordinate in the object's frame, the object spanning -1 to 1.
        y: float32 ``(H, W)``, the other coordinate.
        frequency: periods across the object.
        stream: seed of the mottled texture.

    Returns:
        float32 ``(H, W)`` in [0, 1].
    """
    pulse = np.float32(np.pi * frequency)
    if name == "striped":
        wave = np.sin(pulse * x)
    elif name == "checked":
        wave = 1.5 * np.sin(pulse * x) * np.sin(pulse * y)
    elif name == "dotted":
        wave = np.cos(pulse * x) + np.cos(pulse * y) - np.float32(0.7)
    elif name == "mottled":
        noise = power_law_noise(max(x.shape), 1.1, stream)
        wave = 0.4 * noise[: x.shape[0], : x.shape[1]]
    else:
        return np.zeros_like(x)
    return np.clip(0.5 + 1.2 * wave, 0, 1)
