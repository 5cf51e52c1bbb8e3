"""Slabs: a large pixel array in pieces of bounded size, along its storage order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, Protocol, TypeAlias

import numpy as np

SLAB_BYTES = 128 * 2**20
Slab: TypeAlias = tuple[slice, ...]


class PixelArray(Protocol):
    """What a conversion needs of an array: an h5py data set, a NumPy array."""

    shape: tuple[int, ...]
    dtype: Any

    def __getitem__(self, key: Any) -> Any:
        """Read a slab."""


class WithItemAxis:
    """A three-dimensional array, one picture, as a four-dimensional one whose last axis is that of the items.

    Args:
        array: the picture.
    """

    def __init__(self, array: PixelArray) -> None:
        self._array = array
        self.shape, self.dtype = (*array.shape, 1), array.dtype
        chunks = getattr(array, "chunks", None)
        self.chunks = None if chunks is None else (*chunks, 1)

    def __getitem__(self, key: Slab) -> np.ndarray:
        return np.asarray(self._array[key[:3]])[..., None][..., key[3]]


def slab_shape(
    shape: Sequence[int], itemsize: int, chunks: Sequence[int] | None = None, budget: int = SLAB_BYTES
) -> tuple[int, ...]:
    """Return the largest slab within a budget: slow axes are cut first, so that what is read is contiguous.

    Args:
        shape: shape of the array.
        itemsize: bytes per value.
        chunks: shape of its chunks, if it is stored in chunks: HDF5 reads and unpacks whole ones.
        budget: bytes of a slab; a single chunk may take more.
    """
    slab = list(shape)
    for axis, unit in enumerate(chunks or (1,) * len(shape)):
        rest = itemsize * prod(slab) // slab[axis]
        fitting = budget // rest // unit * unit
        slab[axis] = min(shape[axis], max(unit, fitting))
        if fitting >= unit:
            break
    return tuple(slab)


def slabs(shape: Sequence[int], slab: Sequence[int]) -> list[Slab]:
    """Return the slabs of an array, in storage order."""
    starts = [range(0, size, step) for size, step in zip(shape, slab, strict=True)]
    return [
        tuple(slice(at, min(at + step, size)) for at, step, size in zip(corner, slab, shape, strict=True))
        for corner in product(*starts)
    ]


def slabs_at(array: PixelArray, axis: int, positions: Sequence[int], budget: int) -> Iterator[Slab]:
    """Yield the slabs that hold only some positions of one axis."""
    thin = [*array.shape]
    thin[axis] = 1
    shape = slab_shape(thin, np.dtype(array.dtype).itemsize, None, budget)
    for position in positions:
        for slab in slabs(thin, shape):
            yield (*slab[:axis], slice(position, position + 1), *slab[axis + 1 :])
