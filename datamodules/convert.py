"""Conversion of pixels in MATLAB or HDF5 files to an item-major array that is memory-mapped.

An array with its items last, as TA-DCH's, scatters one picture over the whole file: each of its bytes lies ``n``
bytes from the next. Copied once along its own storage order, by image row, it becomes fast to read.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from datamodules.layouts.conversion import Conversion, beside, fingerprint, labels_sha256, write_json
from datamodules.layouts.item_arrays import opened, read_labels
from datamodules.layouts.orientation import Orientation, Sample, judge, sample_pictures
from datamodules.layouts.pixelfile import Axes, PixelFile, open_pixel_file
from datamodules.layouts.slabs import SLAB_BYTES, PixelArray, WithItemAxis, slab_shape, slabs
from datamodules.source import DataError

CHECKPOINT_SECONDS = 20.0
FLUSH_SHARE = 10  # flushing takes at most about a tenth of the time


def convert(
    source_file: str | Path,
    target_npy: str | Path,
    progress: bool = True,
    scale: float | None = None,
    transpose: bool | None = None,
    slab_bytes: int = SLAB_BYTES,
) -> Conversion:
    """Copy the pixels of a MATLAB or HDF5 file to uint8 ``(n, 3, H, W)``, with a record beside it.

    A killed run goes on where it was, when called again with the same arguments; ``target_npy`` is there only
    once it is complete. A finished conversion of the same file is left as it is.

    Args:
        source_file: file with pixels (``IAll``, ``images``) in any order of axes; labels in it or beside it.
        target_npy: array to write; ``.json`` is appended for the record.
        progress: show a bar.
        scale: value of white in floating-point pixels, 255 or 1; never guessed.
        transpose: whether the earlier of the two spatial axes is W; None asks the pixels.
        slab_bytes: bytes of pixels read at once; MATLAB 5 files (below 2 GiB) are read whole, by SciPy.

    Returns:
        the record.

    Raises:
        DataError: shapes that fit no or several orders, undeclared or contradicted scale, undecided orientation,
            values out of range (naming the first), a full disk, or a target that is something else.
    """
    file, target = open_pixel_file(Path(source_file)), Path(target_npy)
    labels = read_labels(file.labels, file.count)
    if target.exists():
        return _finished(file, labels, target, scale, transpose)
    with opened(file.pixels) as stored:
        pixels: PixelArray = WithItemAxis(stored) if len(stored.shape) == 3 else stored
        sample = sample_pictures(pixels, file.axes, slab_bytes)
        white = _scale(file, np.dtype(pixels.dtype), sample, scale)
        orientation = _orientation(file, sample, transpose)
        copy = Copy(pixels, file.axes, orientation.transpose, white, str(file.pixels), slab_bytes)
        stamp = file.pixels.file.stat()
        copy.run(target, [file.pixels.file.name, stamp.st_size, stamp.st_mtime_ns], progress)
        conversion = Conversion(
            source=file.pixels.file.name,
            source_size=stamp.st_size,
            key=file.pixels.key,
            axes=file.axes.letters(orientation.transpose),
            dtype=str(pixels.dtype),
            scale=white,
            items=file.count,
            labels_sha256=labels_sha256(labels),
            orientation=orientation,
            fingerprint=fingerprint(np.load(beside(target, ".partial"), mmap_mode="r", allow_pickle=False)),
        )
    write_json(beside(target, ".json"), asdict(conversion))  # before the rename: an array never lacks its record
    os.replace(beside(target, ".partial"), target)
    beside(target, ".progress.json").unlink(missing_ok=True)
    return conversion


class Copy:
    """Copies pixels slab by slab, and can go on after it was killed.

    Args:
        pixels: four-dimensional array.
        axes: its axes.
        transpose: whether its first spatial axis is W.
        white: value of white.
        name: what errors call it.
        slab_bytes: bytes read at once.
    """

    def __init__(
        self, pixels: PixelArray, axes: Axes, transpose: bool, white: float, name: str, slab_bytes: int = SLAB_BYTES
    ) -> None:
        self.pixels, self.axes, self.transpose, self.white, self.name = pixels, axes, transpose, white, name
        itemsize = np.dtype(pixels.dtype).itemsize
        self.slab = slab_shape(pixels.shape, itemsize, getattr(pixels, "chunks", None), slab_bytes)
        self._order = axes.item_major(transpose)
        self.shape = tuple(pixels.shape[axis] for axis in self._order)

    def run(self, target: Path, stamp: list[Any], progress: bool) -> None:
        """Fill ``<target>.partial``.

        Args:
            target: the array to become.
            stamp: what tells one version of the original from another.
            progress: show a bar.
        """
        parts = slabs(self.pixels.shape, self.slab)
        job = [*stamp, self.name, self.transpose, self.white, list(self.slab)]
        done, output = self._open(target, job)
        last, cost = time.monotonic(), 0.0
        with tqdm(total=len(parts), initial=done, desc=target.name, unit="slab", disable=not progress) as bar:
            for number, part in enumerate(parts[done:], done + 1):
                self._copy(part, output)
                bar.update()
                started = time.monotonic()
                if number == len(parts) or started - last >= max(CHECKPOINT_SECONDS, FLUSH_SHARE * cost):
                    output.flush()  # or a power cut could lose pixels that the progress calls done
                    size = output.nbytes + output.offset
                    state = {"job": job, "slabs_done": number, "slabs": len(parts), "bytes": size}
                    write_json(beside(target, ".progress.json"), state)
                    last = time.monotonic()
                    cost = last - started

    def _open(self, target: Path, job: list[Any]) -> tuple[int, np.memmap]:
        partial, state = beside(target, ".partial"), beside(target, ".progress.json")
        with suppress(OSError, ValueError, KeyError, TypeError):  # anything but the same job starts afresh
            known = json.loads(state.read_text(encoding="utf-8"))
            if known["job"] == job and known["bytes"] == partial.stat().st_size:  # NumPy would lengthen a short file
                return int(known["slabs_done"]), np.lib.format.open_memmap(partial, mode="r+")
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            state.unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
            free, size = shutil.disk_usage(partial.parent).free, prod(self.shape)
            if free < size:  # writing to a memory map beyond the disk kills the process
                raise DataError(f"{target}: needs {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
            return 0, np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=self.shape)
        except OSError as error:
            raise DataError(f"{partial}: cannot be written ({error.strerror or error})") from error

    def _copy(self, part: tuple[slice, ...], output: np.memmap) -> None:
        block = np.asarray(self.pixels[part])
        target = output.transpose(np.argsort(self._order))  # seen in the order of the original
        for offset, values in enumerate(block):  # one row at a time stays in the processor's cache
            at = part[0].start + offset
            if values.dtype != np.uint8:
                values = self._eight_bit(values, (at, *(cut.start for cut in part[1:])))
            target[(at, *part[1:])] = values

    def _eight_bit(self, values: np.ndarray, corner: tuple[int, ...]) -> np.ndarray:
        outside = ~((values >= 0) & (values <= self.white))
        if outside.any():
            where = np.argwhere(outside)[0]
            place = (corner[0], *(int(a) + b for a, b in zip(where, corner[1:], strict=True)))
            raise DataError(f"{self.name}: {values[tuple(where)]} at {place} is outside 0..{self.white:g}, the scale")
        return np.rint(values * (255 / self.white)).astype(np.uint8)


def _finished(
    file: PixelFile, labels: np.ndarray, target: Path, scale: float | None, transpose: bool | None
) -> Conversion:
    done = Conversion.of(target)
    if done is None:
        raise DataError(f"{target}: exists, and is no conversion ({target.name}.json is missing); move it away")
    differs = done.mismatch(file, labels)
    for option, asked, ours in (("scale", scale, done.scale), ("transpose", transpose, done.orientation.transpose)):
        if differs is None and asked is not None and asked != ours:
            differs = f"{option}: {ours}, now {asked}"
    if differs is not None:
        raise DataError(f"{target}: converted from other data ({differs}); delete it to convert again")
    done.check(target)
    return done


def _scale(file: PixelFile, dtype: np.dtype, sample: Sample, scale: float | None) -> float:
    seen = f"{file.pixels}: {dtype} with values {sample.low:g}..{sample.high:g} in {sample.images} pictures"
    if dtype != np.uint8 and dtype.kind != "f":
        raise DataError(f"{seen}, expected uint8 or floating-point pixels")
    if scale not in (None, 1, 255):
        raise DataError(f"scale={scale}: expected 255 or 1, the value of white")
    if dtype == np.uint8:
        if scale == 1:
            raise DataError(f"{seen}: scale=1 is for floating-point pixels")
        return 255.0
    if scale is None:
        raise DataError(f"{seen}: declare the value of white, scale=255 or scale=1")
    if not 0 <= sample.low <= sample.high <= scale or 0 < sample.high <= 1 < scale:
        raise DataError(f"{seen}, which contradicts scale={scale:g}")
    return float(scale)


def _orientation(file: PixelFile, sample: Sample, transpose: bool | None) -> Orientation:
    found = judge(sample, transpose)
    if found.decided_by == "nobody":
        raise DataError(
            f"{file.pixels}: height and width are undecided: the mean of {found.images} pictures correlates "
            f"{found.second_flip:.2f} with its flip along the second spatial axis, {found.first_flip:.2f} along the "
            f"first. Look at a picture and say transpose=True if the axes are {file.axes.letters(True)}, "
            f"transpose=False if they are {file.axes.letters(False)}"
        )
    return found
