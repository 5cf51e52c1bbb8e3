"""StoreFiles: an artefact store at any address that fsspec knows: a folder, ``memory://``, ``s3://`` and others.

A file appears whole or not at all. Object stores put an object in one step; elsewhere it is written to a temporary
name and moved. How the files of an evaluation's stages are called stands here too, for all who read them.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Sequence
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

HEADER = 4096  # bytes that the header of a safetensors file rarely exceeds
ADVERSARIAL = "adversarial"  # the stage of attacked images
# Raise one when a change alters the numbers of a stage: it is part of the stage's key.
STAGE_VERSIONS = {"targets": 1, "database": 1, ADVERSARIAL: 1, "defended": 1, "codes": 1}
ATOMIC_PUT = frozenset({"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss"})


def manifest_path(folder: str) -> str:
    """Return the file that says that the stage in ``folder`` is finished, and what it depends on."""
    return f"{folder}/manifest.json"


def shard_path(folder: str, shard: int) -> str:
    """Return the file of one shard of the stage in ``folder``."""
    return f"{folder}/shard-{shard:05d}.safetensors"


class StoreFiles:
    """Reads and writes small files below one address. Paths are relative to it, with ``/`` between their parts.

    Args:
        address: folder, or URL of a file system that fsspec knows.

    Raises:
        ValueError: a protocol that is unknown, or whose package is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            self._fs, self._root = url_to_fs(address, use_listings_cache=False)  # others write as well
        except (ImportError, ValueError) as error:
            raise ValueError(f"artefact store {address}: {error}") from error
        self._is_local = isinstance(self._fs, LocalFileSystem)
        protocols = self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        self._atomic_put = not ATOMIC_PUT.isdisjoint(protocols)

    def check_writable(self, title: str) -> None:
        """Write and remove a file.

        Args:
            title: what lies here, in a message.

        Raises:
            ValueError: that does not work.
        """
        probe = f".{uuid.uuid4().hex}"
        try:
            self.write(probe, b"")
            self.remove(probe)
        except OSError as error:
            raise ValueError(f"{title} {self.address} cannot be written ({error.strerror or error})") from error

    def names(self, folder: str) -> set[str]:
        """Return the names of the files and folders in ``folder``; none if there is no such folder."""
        try:
            paths = self._fs.ls(self._path(folder), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return {path.rstrip("/").rpartition("/")[2] for path in paths}

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file."""
        return bool(self._fs.exists(self._path(path)))

    def read(self, path: str, end: int | None = None) -> bytes:
        """Return the content of a file, or its first ``end`` bytes.

        Raises:
            FileNotFoundError: there is no such file.
        """
        content: bytes = self._fs.cat_file(self._path(path), start=None if end is None else 0, end=end)
        return content

    def read_parts(self, parts: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Return bytes ``first:end`` of files, each given by ``(path, first, end)``; at once, where the place can.

        Raises:
            FileNotFoundError: there is no such file.
        """
        paths, firsts, ends = ([part[place] for part in parts] for place in range(3))
        paths = [self._path(str(path)) for path in paths]
        contents: list[bytes] = self._fs.cat_ranges(paths, firsts, ends, on_error="raise")
        for content in contents:  # which file systems that read at once return nevertheless
            if isinstance(content, BaseException):
                raise content
        return contents

    def read_tensor_header(self, path: str) -> tuple[dict[str, Any], int]:
        """Return the header of a safetensors file, and the position of its first byte of data.

        Raises:
            FileNotFoundError: there is no such file.
        """
        start = self.read(path, HEADER)
        length = 8 + int.from_bytes(start[:8], "little")
        if length > len(start):
            start = self.read(path, length)
        return json.loads(start[8:length]), length

    def write(self, path: str, content: bytes) -> None:
        """Write a file in one step, whether or not there is one of that name."""
        target = self._path(path)
        self._make_parent(target)
        if self._atomic_put:
            self._fs.pipe_file(target, content)
            return
        partial = f"{target}.{uuid.uuid4().hex}.partial"
        try:
            self._fs.pipe_file(partial, content)
            if self._is_local:
                os.replace(partial, target)
            else:
                self._fs.mv(partial, target)
        except BaseException:
            self._remove(partial)
            raise

    def create(self, path: str, content: bytes) -> bool:
        """Write a file that is not there yet; of several processes that try, one succeeds.

        Returns:
            whether this call made it.
        """
        target = self._path(path)
        self._make_parent(target)
        try:
            if self._is_local:
                with self._fs.open(target, "xb") as file:
                    file.write(content)
            else:
                self._fs.pipe_file(target, content, mode="create")
        except FileExistsError:
            return False
        return True

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        self._remove(self._path(path))

    def _remove(self, target: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(target)

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _make_parent(self, target: str) -> None:
        if not self._atomic_put:
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
