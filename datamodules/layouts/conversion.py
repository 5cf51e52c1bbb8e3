"""The record of a conversion: what an item-major array was made from, and whether it still fits."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.layouts.orientation import Orientation
from datamodules.layouts.pixelfile import PixelFile
from datamodules.source import DataError

VERSION = 1
FINGERPRINT_ITEMS = 64


@dataclass(frozen=True)
class Conversion:
    """What a converted array was made from; kept beside it as ``<array>.json``.

    Attributes:
        source: file name of the original.
        source_size: its size in bytes.
        key: name of the array in it.
        axes: order of its axes, such as ``NCWH``.
        dtype: its type.
        scale: value of white.
        items: number of items.
        labels_sha256: hash of the labels, uint8 ``(n, C)``.
        orientation: how H and W were told apart.
        fingerprint: hash of the shape and of 64 evenly spread pictures.
        version: version of this record.
    """

    source: str
    source_size: int
    key: str
    axes: str
    dtype: str
    scale: float
    items: int
    labels_sha256: str
    orientation: Orientation
    fingerprint: str
    version: int = VERSION

    @staticmethod
    def of(array: Path) -> Conversion | None:
        """Return the record beside an array; None if there is no array, or no record beside it.

        Raises:
            DataError: the record is damaged.
        """
        path = beside(array, ".json")
        if not array.is_file() or not path.is_file():
            return None
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            conversion = Conversion(**{**fields, "orientation": Orientation(**fields["orientation"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}: no record of a conversion ({error}); delete it and convert again") from error
        if conversion.version != VERSION:
            raise DataError(f"{path}: a record of another version; delete {array.name} and convert again")
        return conversion

    def mismatch(self, file: PixelFile, labels: np.ndarray) -> str | None:
        """Return in what the record contradicts an original and its labels; None if it fits."""
        facts = {
            "file size": (self.source_size, file.pixels.file.stat().st_size),
            "key": (self.key, file.pixels.key),
            "number of items": (self.items, file.count),
            "labels": (self.labels_sha256, labels_sha256(labels)),
        }
        return next((f"{name}: {ours}, now {now}" for name, (ours, now) in facts.items() if ours != now), None)

    def check(self, array: Path) -> None:
        """Check that an array is the one recorded, by shape and 64 pictures.

        Raises:
            DataError: it is another one, or damaged.
        """
        try:
            found = fingerprint(np.load(array, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise DataError(f"{array}: not a NumPy array ({error}); delete it and convert again") from error
        if found != self.fingerprint:
            raise DataError(f"{array}: not the pixels that {array.name}.json records; delete both and convert again")


def fingerprint(array: np.ndarray) -> str:
    """Hash the shape of an item-major array, and 64 evenly spread items.

    Returns:
        sha256 as 64 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    if array.ndim and len(array):
        for row in np.linspace(0, len(array) - 1, FINGERPRINT_ITEMS).astype(np.int64):
            digest.update(array[row].tobytes())
    return digest.hexdigest()


def labels_sha256(labels: np.ndarray) -> str:
    """Hash uint8 ``(n, C)`` labels with their shape."""
    return hashlib.sha256(f"{labels.shape}".encode() + np.ascontiguousarray(labels).tobytes()).hexdigest()


def beside(array: Path, ending: str) -> Path:
    """Return the file that belongs to an array: its name with an ending appended."""
    return array.with_name(array.name + ending)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically.

    Raises:
        DataError: the folder cannot be written.
    """
    partial = beside(path, f".{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error
