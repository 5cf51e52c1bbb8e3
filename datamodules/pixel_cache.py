"""PixelCache: resized pictures in one memory-mapped file, for many epochs over large pictures on few cores."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.source import DataError


class PixelCache:
    """Keeps each picture as it is first asked for; nothing has to be built, and a killed run loses nothing.

    Beside the pixels lies a checksum of each picture. One that does not fit (never written, half written, or lost
    with the power) is made anew, so that several processes may share the file.

    Args:
        path: the uint8 ``(n, 3, size, size)`` array to be; checksums lie beside it.
        count: n, pictures of the data set.
        size: their side in pixels.

    Raises:
        DataError: the file cannot be written, is of another shape, or would not fit on the disk.
    """

    def __init__(self, path: Path, count: int, size: int) -> None:
        self._path, self._shape = path, (count, 3, size, size)
        self._arrays: tuple[np.memmap, np.memmap] | None = None
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_shape": self._shape, "_arrays": None}  # a worker maps the file itself

    def __call__(self, row: int, make: Callable[[int], Tensor]) -> Tensor:
        """Return picture ``row``, uint8 ``(3, size, size)``; ``make(row)`` is asked if it is not kept yet."""
        pixels, sums = self._open()
        kept = np.array(pixels[row])
        if sums[row] != _checksum(kept):
            kept = make(row).contiguous().numpy()
            pixels[row] = kept
            sums[row] = _checksum(kept)
        return torch.from_numpy(kept)

    def _open(self) -> tuple[np.memmap, np.memmap]:
        if self._arrays is None:
            sums = self._path.with_suffix(".crc32.npy")
            try:
                if not self._path.exists():
                    self._make_room()
                self._arrays = (
                    map_array(self._path, np.uint8, self._shape),
                    map_array(sums, np.uint32, self._shape[:1]),
                )
            except (OSError, ValueError) as error:
                hint = "delete it, or set pixels.cache to false"
                raise DataError(f"{self._path}: no pictures can be kept there ({error}); {hint}") from error
        return self._arrays

    def _make_room(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        free, size = shutil.disk_usage(self._path.parent).free, int(np.prod(self._shape))
        if free < size:  # writing to a memory map beyond the disk kills the process
            raise OSError(f"needs {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")


def map_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """Map an array, made (as zeros, sparse) where there is none.

    Raises:
        ValueError: the file holds another type or shape.
        OSError: it cannot be written.
    """
    if not path.exists():
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape).flush()
        os.replace(partial, path)  # of two processes the later wins; the other keeps a file of its own
    array: np.memmap = np.lib.format.open_memmap(path, mode="r+")
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"holds {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}")
    return array


def _checksum(pixels: np.ndarray) -> int:
    return zlib.crc32(pixels.data) or 1  # 0 is what an empty file holds
