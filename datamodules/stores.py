"""PictureStore: reads pictures from folders, zip archives and item-major arrays below one root."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.images import decode
from datamodules.source import DataError

ZIP = ".zip/"
ARRAY = ".npy#"


class PictureStore:
    """Pictures by relative POSIX path.

    ``images/im1.jpg`` is a file, ``mirflickr25k.zip/mirflickr/im1.jpg`` a member of an archive, and
    ``pixels.npy#17`` item 17 of a uint8 ``(n, 3, H, W)`` array, which is memory-mapped. Archives and arrays are
    opened once per process and never travel to a loader worker.

    Args:
        root: the folder that paths are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._arrays: dict[str, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_archives": {}, "_arrays": {}}  # an inherited handle would share its position

    @property
    def where(self) -> str:
        """Where the pictures are, for messages."""
        return str(self.root)

    def read(self, path: str) -> Tensor:
        """Return a picture, uint8 ``(3, H, W)`` RGB.

        Raises:
            DataError: it is missing or unreadable; the message names it.
        """
        if ARRAY in path:
            name, _, number = path.rpartition("#")
            return torch.from_numpy(np.array(self._array(name)[int(number)]))
        return decode(self.read_bytes(path), str(self.root / path))

    def read_bytes(self, path: str) -> bytes:
        """Return the bytes of a file or archive member.

        Raises:
            DataError: it is missing or unreadable; the message names it.
        """
        try:
            if ZIP in path:
                archive, _, member = path.partition(ZIP)
                return self._archive(archive + ".zip").read(member)
            return (self.root / path).read_bytes()
        except DataError:
            raise
        except Exception as error:  # zipfile lets errors of many types through for damaged archives
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self.root / path}: cannot be read ({reason})") from error

    def missing(self, paths: Sequence[str]) -> list[int]:
        """Return the positions of paths that lead nowhere; decodes nothing."""
        folders: dict[str, set[str]] = {}

        def exists(path: str) -> bool:
            if ARRAY in path:
                name, _, number = path.rpartition("#")
                return (self.root / name).is_file() and number.isdecimal() and int(number) < len(self._array(name))
            if ZIP in path:
                archive, _, member = path.partition(ZIP)
                if not (self.root / f"{archive}.zip").is_file():
                    return False
                if archive not in folders:
                    folders[archive] = set(self._archive(f"{archive}.zip").namelist())
                return member in folders[archive]
            folder, _, name = path.rpartition("/")
            if folder not in folders:  # one listing per folder instead of one look per file
                place = self.root / folder
                folders[folder] = {entry.name for entry in place.iterdir()} if place.is_dir() else set()
            return name in folders[folder]

        return [position for position, path in enumerate(paths) if not exists(path)]

    def _archive(self, name: str) -> zipfile.ZipFile:
        if name not in self._archives:
            try:
                self._archives[name] = zipfile.ZipFile(self.root / name)
            except Exception as error:  # as above
                raise DataError(f"{self.root / name}: cannot be opened ({error})") from error
        return self._archives[name]

    def _array(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            try:
                array = np.lib.format.open_memmap(self.root / name, mode="r")  # never unpickles
            except (OSError, ValueError) as error:
                raise DataError(f"{self.root / name}: not a NumPy array ({error})") from error
            if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] != 3:
                raise DataError(f"{self.root / name}: {array.dtype} {array.shape}, expected uint8 pixels (n, 3, H, W)")
            self._arrays[name] = array
        return self._arrays[name]
