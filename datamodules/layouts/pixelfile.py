"""A MATLAB or HDF5 file with pixels: which array is which, and which axis is which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from datamodules.layouts.item_arrays import (
    LABELS,
    NAMES,
    PIXELS,
    TEXT,
    Variable,
    array_files,
    find,
    is_array_file,
    variables,
)
from datamodules.source import DataError


@dataclass(frozen=True)
class Axes:
    """Where the axes of a four-dimensional pixel array are; whether ``first`` is H or W only the pixels can tell.

    Attributes:
        items: axis of the items, the first or the last.
        channels: axis of size 3.
        first: the earlier of the two others.
        second: the later one.
    """

    items: int
    channels: int
    first: int
    second: int

    def item_major(self, transpose: bool) -> tuple[int, int, int, int]:
        """Return the axes in the order items, channels, H, W; ``transpose``: the first spatial axis is W."""
        spatial = (self.second, self.first) if transpose else (self.first, self.second)
        return (self.items, self.channels, *spatial)

    def letters(self, transpose: bool) -> str:
        """Return the order in letters, ``HWCN`` or ``NCWH``; ``transpose``: the first spatial axis is W."""
        names = {self.items: "N", self.channels: "C", self.first: "HW"[transpose], self.second: "WH"[transpose]}
        return "".join(names[axis] for axis in range(4))


@dataclass(frozen=True)
class PixelFile:
    """A file with pixels, and the arrays that belong to it, in the same file or beside it.

    Attributes:
        pixels: the pictures.
        labels: their labels.
        text: features of their texts, if there are any.
        names: their names, if there are any.
        axes: axes of the pixels.
        count: number of items.
    """

    pixels: Variable
    labels: Variable
    text: Variable | None
    names: Variable | None
    axes: Axes
    count: int

    @property
    def item_last(self) -> bool:
        """Whether one picture is scattered over the whole file."""
        return self.axes.items == 3


def four_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape with its axis of items: MATLAB drops a last axis of one item."""
    return (*shape, 1) if len(shape) == 3 else tuple(shape)


def find_pixels(file: Path) -> Variable | None:
    """Return the pixel array of a file: by name, three or four axes, one of size 3.

    Raises:
        DataError: the file is damaged.
    """
    shaped = [found for found in variables(file) if len(found.shape) in (3, 4) and 3 in found.shape]
    return find([found for found in shaped if min(found.shape) > 0], PIXELS)


def find_axes(pixels: Variable, others: Sequence[Variable]) -> Axes:
    """Tell the axes from the sizes: items are common to all arrays, channels are three.

    Raises:
        DataError: no reading of the shapes fits, or several do; the message states them.
    """
    shape = four_axes(pixels.shape)
    fitting = [
        (items, channels)
        for items, channels in product((0, 3), range(4))
        if items != channels and shape[channels] == 3 and all(shape[items] in other.sizes for other in others)
    ]
    shapes = ", ".join(map(str, [pixels, *others]))
    if not fitting:
        raise DataError(f"{shapes}: expected a first or last axis of items, common to all, and another axis of size 3")
    if len(fitting) > 1:
        raise DataError(f"{shapes}: several axes could be those of items and channels; use another number of items")
    items, channels = fitting[0]
    first, second = (axis for axis in range(4) if axis not in fitting[0])
    return Axes(items, channels, first, second)


def open_pixel_file(file: Path) -> PixelFile:
    """Find the arrays that belong to the pixels of a file: in it, or else in the files of its folder.

    Raises:
        DataError: the file has no pixels, nothing has their labels, several files could be meant, or the axes
            cannot be told apart.
    """
    if not is_array_file(file):
        raise DataError(f"{file}: neither an HDF5 nor a MATLAB 5 file")
    pixels = find_pixels(file)
    if pixels is None:
        held = ", ".join(map(str, variables(file))) or "nothing"
        raise DataError(f"{file}: no pixels, expected one of {', '.join(PIXELS)} with an axis of size 3; holds {held}")
    labels = _partner(pixels, LABELS)
    if labels is None:
        raise DataError(f"{pixels}: no labels ({', '.join(LABELS)}) of as many items in this file or beside it")
    text, names = _partner(pixels, TEXT), _partner(pixels, NAMES)
    axes = find_axes(pixels, [other for other in (labels, text, names) if other is not None])
    return PixelFile(pixels, labels, text, names, axes, four_axes(pixels.shape)[axes.items])


def _partner(pixels: Variable, aliases: Sequence[str]) -> Variable | None:
    own = find(variables(pixels.file), aliases)
    if own is not None:
        return own
    shape, fitting = four_axes(pixels.shape), []
    for file in array_files(pixels.file.parent):
        other = None if file == pixels.file else find(variables(file), aliases)
        if other is not None and {shape[0], shape[3]} & set(other.sizes):
            fitting.append(other)
    if len(fitting) > 1:
        listed = ", ".join(map(str, fitting))
        raise DataError(f"{pixels}: several arrays could belong to it, keep one in its folder: {listed}")
    return fitting[0] if fitting else None
