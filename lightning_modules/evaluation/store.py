"""The artefact store: results of a stage under the hash of everything that they depend on.

A stage is cut in shards of consecutive queries. Each shard is written in one step, the manifest comes last; a killed
run goes on where it stopped, and several processes on several machines may fill one stage together: whoever computes a
shard claims it first. A store is a folder or any other place that fsspec knows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from lightning_modules.evaluation.cache_key import content_key
from lightning_modules.evaluation.claims import Claims
from lightning_modules.store_files import StoreFiles, manifest_path, shard_path

Tensors = dict[str, Tensor]
POLLS = (0.1, 5.0)  # seconds between two looks at a shard that another process is computing: first, most
COUNTED = ("images", "codes", "labels")  # tensors whose first dimension is that of the items


@dataclass(frozen=True)
class StageRecord:
    """What stored shards say of themselves.

    Attributes:
        items: items in all of them.
        seconds: what they took when they were computed.
        bytes: what they take now.
        side: height of their pictures, 0 if they hold none.
    """

    items: int
    seconds: float
    bytes: int
    side: int

    @classmethod
    def of(cls, headers: Iterator[tuple[dict[str, Any], int]]) -> StageRecord:
        """Sum up shards, each given by header and number of bytes."""
        items, seconds, total, side = 0, 0.0, 0, 0
        for header, size in headers:
            seconds += float(header.get("__metadata__", {}).get("seconds", 0))
            shapes = [header[name]["shape"] for name in COUNTED if name in header]
            items, total = items + (shapes[0][0] if shapes else 0), total + size
            side = header["images"]["shape"][-2] if "images" in header else side
        return cls(items, seconds, total, side)


class Stage:
    """The shards of one stage.

    Args:
        files: where they lie.
        claims: who computes them.
        name: what the stage does.
        facts: what it depends on; their hash is the key.
        count: number of shards of the whole stage.
    """

    def __init__(self, files: StoreFiles, claims: Claims, name: str, facts: dict[str, Any], count: int) -> None:
        self.name, self.facts, self.count = name, {"stage": name} | facts, count
        self.key = content_key(self.facts)
        self.folder = f"{name}/{self.key[:20]}"
        self._files, self._claims = files, claims

    def path(self, shard: int) -> str:
        """Return the file of one shard, relative to the store."""
        return shard_path(self.folder, shard)

    def missing(self) -> list[int]:
        """Return the shards that are not there yet."""
        there = self._files.names(self.folder)
        return [shard for shard in range(self.count) if self.path(shard).rpartition("/")[2] not in there]

    def busy(self) -> set[int]:
        """Return the shards that other processes are computing."""
        held = self._claims.held(self.folder)
        return {shard for shard in range(self.count) if self.path(shard) in held} if held else set()

    def shard(self, shard: int, compute: Callable[[], Tensors]) -> Tensors:
        """Return a shard, computed and stored if it is not there; its run time is stored with it.

        If another process is computing it, wait for that; if that process dies, compute it here.
        """
        pause, longest = POLLS
        while (stored := self._stored(shard)) is None:
            with self._claims.claim(self.path(shard)) as ours:
                if ours:
                    stored = self._stored(shard)  # somebody may have finished it before the claim
                    return self._compute(shard, compute) if stored is None else stored
            time.sleep(pause)
            pause = min(2 * pause, longest)
        return stored

    def _stored(self, shard: int) -> Tensors | None:
        try:
            return self.load(shard)
        except FileNotFoundError:
            return None

    def _compute(self, shard: int, compute: Callable[[], Tensors]) -> Tensors:
        start = time.perf_counter()
        tensors = {name: tensor.contiguous().cpu() for name, tensor in compute().items()}
        seconds = time.perf_counter() - start
        self._files.write(self.path(shard), save(tensors, metadata={"seconds": repr(seconds)}))
        return tensors

    def load(self, shard: int) -> Tensors:
        """Return a shard that must be there.

        Raises:
            FileNotFoundError: it is not.
        """
        return load(self._files.read(self.path(shard)))

    def record(self) -> StageRecord:
        """Return what the shards that are there say of themselves: the manifest of a finished stage, else each one."""
        known = _read_record(self._files, self.folder)
        if known is not None:
            return known
        missing = set(self.missing())
        return StageRecord.of(self._header(shard) for shard in range(self.count) if shard not in missing)

    def finish(self) -> None:
        """Write the manifest, if every shard is there."""
        if self.missing() or _read_record(self._files, self.folder) is not None:
            return
        record = StageRecord.of(self._header(shard) for shard in range(self.count))
        content = {"key": self.key, "shards": self.count, "facts": self.facts, "record": vars(record)}
        self._files.write(manifest_path(self.folder), json.dumps(content, indent=1).encode())

    def _header(self, shard: int) -> tuple[dict[str, Any], int]:
        header, length = self._files.read_tensor_header(self.path(shard))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return header, length + max(ends, default=0)


class ArtifactStore:
    """Stages below one address.

    Args:
        address: a folder, or a URL of a file system that fsspec knows; made on first use.

    Raises:
        ValueError: a file system that is unknown, or whose package is not installed.
    """

    def __init__(self, address: str) -> None:
        self._files = StoreFiles(address)
        self._claims = Claims(self._files)

    def check_writable(self) -> None:
        """Raise ValueError if nothing can be written there."""
        self._files.check_writable("artefact store")

    def stage(self, name: str, facts: dict[str, Any], count: int) -> Stage:
        """Return the stage ``name`` for these facts."""
        return Stage(self._files, self._claims, name, facts, count)

    def finished(self, name: str) -> Iterator[tuple[dict[str, Any], StageRecord]]:
        """Yield facts and record of every finished stage of this name."""
        for folder in sorted(self._files.names(name)):
            manifest = _read_manifest(self._files, f"{name}/{folder}")
            record = _record_in(manifest)
            if record is not None:
                yield manifest["facts"], record


def _read_manifest(files: StoreFiles, folder: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(files.read(manifest_path(folder)))
    except FileNotFoundError:
        return {}
    return content


def _read_record(files: StoreFiles, folder: str) -> StageRecord | None:
    return _record_in(_read_manifest(files, folder))


def _record_in(manifest: dict[str, Any]) -> StageRecord | None:
    record = manifest.get("record")
    return None if record is None else StageRecord(**record)
