"""Which spatial axis is the height? The mean of many photographs tells.

Photographs are taken upright: their mean is bright above and dark below, and nearly symmetric from left to right.
So the mean correlates with its left-right flip, and hardly or negatively with its up-down flip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from datamodules.layouts.pixelfile import Axes
from datamodules.layouts.slabs import SLAB_BYTES, PixelArray, slabs_at

PROBE_IMAGES = 300
PROBE_ROWS = 16
FEWEST_IMAGES = 100
MARGIN = 0.2


@dataclass(frozen=True)
class Sample:
    """What evenly spread pictures look like.

    Attributes:
        mean: their mean grey, float64 ``(first, second)``; of the first axis maybe only some positions, which lie
            symmetrically.
        low: smallest value seen, NaN where there is one.
        high: largest value seen.
        images: number of pictures.
    """

    mean: np.ndarray
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Orientation:
    """The verdict on the order of H and W.

    Attributes:
        images: number of pictures looked at.
        second_flip: correlation of their mean with its flip along the second spatial axis: left and right change
            places, if the first is H.
        first_flip: the same along the first spatial axis.
        verdict: what the correlations say: the first axis is H, or W.
        transpose: whether H and W are swapped.
        decided_by: who decided that.
    """

    images: int
    second_flip: float
    first_flip: float
    verdict: Literal["upright", "transposed", "undecided"]
    transpose: bool
    decided_by: Literal["probe", "option", "nobody"]


def sample_pictures(array: PixelArray, axes: Axes, budget: int = SLAB_BYTES) -> Sample:
    """Look at up to 300 evenly spread pictures.

    Of an item-last array only some rows are read, each of all items at once: single items would cost a read per
    byte.

    Args:
        array: four-dimensional pixels.
        axes: its axes.
        budget: bytes that may be read at once.
    """
    count, height = array.shape[axes.items], array.shape[axes.first]
    items = np.unique(np.linspace(0, count - 1, min(count, PROBE_IMAGES)).astype(np.int64))
    rows = np.arange(height)
    if axes.items == 3:
        half = np.linspace(0, (height - 1) / 2, PROBE_ROWS // 2).astype(np.int64)
        rows = np.union1d(half, height - 1 - half)
        parts = slabs_at(array, axes.first, rows.tolist(), budget)
    else:
        parts = slabs_at(array, axes.items, items.tolist(), budget)
    total = np.zeros((height, array.shape[axes.second]))
    low, high = np.inf, -np.inf
    for slab in parts:
        span = slab[axes.items]
        inside = items[(items >= span.start) & (items < span.stop)] - span.start
        if not len(inside):
            continue
        block = np.asarray(array[slab]).transpose(axes.item_major(False))[inside]
        total[slab[axes.first], slab[axes.second]] += block.sum(axis=(0, 1), dtype=np.float64)
        low, high = np.minimum(low, block.min()), np.maximum(high, block.max())  # NaN stays
    return Sample(total[rows] / (3 * len(items)), float(low), float(high), len(items))


def judge(sample: Sample, transpose: bool | None) -> Orientation:
    """Tell H from W.

    Args:
        sample: what the pictures look like.
        transpose: the user's word, which counts; None leaves it to the probe.

    Returns:
        the verdict; with ``decided_by="nobody"`` if there are fewer than 100 pictures or the correlations differ
        by less than 0.2, and the user did not say.
    """
    mean = sample.mean
    second, first = (_correlation(mean, np.flip(mean, axis)) for axis in (1, 0))
    verdict: Literal["upright", "transposed", "undecided"] = "undecided"
    if sample.images >= FEWEST_IMAGES and abs(second - first) >= MARGIN:
        verdict = "upright" if second > first else "transposed"
    if transpose is not None:
        return Orientation(sample.images, second, first, verdict, transpose, "option")
    by: Literal["probe", "nobody"] = "nobody" if verdict == "undecided" else "probe"
    return Orientation(sample.images, second, first, verdict, verdict == "transposed", by)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two means of equal variance; 0 where there is none."""
    one, other = one - one.mean(), other - other.mean()
    power = float((one * one).sum())
    return float((one * other).sum()) / power if power > 0 else 0.0
