"""The artefact store: results of a stage under the hash of everything that they depend on.

A stage is cut in shards of consecutive queries. Each shard is written to a temporary name and moved into
place, the manifest comes last; a killed run goes on where it stopped, and several processes may fill one
stage together.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]


def content_key(facts: dict[str, Any]) -> str:
    """Hash facts to a key: SHA-256 of their canonical JSON.

    Args:
        facts: plain values; for a stage its name, version, parameters, seed, and the keys of what it is
            made from.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Stage:
    """The shards of one stage.

    Args:
        folder: where they lie.
        facts: what the stage depends on; its hash is the key.
        count: number of shards of the whole stage.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], count: int) -> None:
        self.key = content_key(facts)
        self.folder, self.facts, self.count = folder / self.key[:20], facts, count

    def path(self, shard: int) -> Path:
        """Return the file of one shard."""
        return self.folder / f"shard-{shard:05d}.safetensors"

    def missing(self) -> list[int]:
        """Return the shards that are not there yet."""
        return [shard for shard in range(self.count) if not self.path(shard).exists()]

    def shard(self, shard: int, compute: Callable[[], Tensors]) -> Tensors:
        """Return a shard, computed and stored if it is not there; its run time is stored with it."""
        path = self.path(shard)
        if path.exists():
            return load_file(path)
        start = time.perf_counter()
        tensors = {name: tensor.contiguous().cpu() for name, tensor in compute().items()}
        seconds = time.perf_counter() - start
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{uuid.uuid4().hex}.partial")
        save_file(tensors, partial, metadata={"seconds": repr(seconds)})
        os.replace(partial, path)
        return tensors

    def load(self, shard: int) -> Tensors:
        """Return a shard that must be there.

        Raises:
            FileNotFoundError: it is not.
        """
        return load_file(self.path(shard))

    def seconds(self) -> float:
        """Return the computing time of all shards together, as it was when each was made."""
        total = 0.0
        for shard in range(self.count):
            with safe_open(self.path(shard), framework="pt") as file:
                total += float((file.metadata() or {}).get("seconds", 0))
        return total

    def finish(self) -> None:
        """Write the manifest, if every shard is there."""
        if self.missing():
            return
        partial = self.folder / f"manifest.{uuid.uuid4().hex}.partial"
        partial.write_text(json.dumps({"key": self.key, "shards": self.count, "facts": self.facts}, indent=1))
        os.replace(partial, self.folder / "manifest.json")


class ArtifactStore:
    """A folder of stages.

    Args:
        root: the folder; made on first use.

    Raises:
        ValueError: the folder cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            probe = root / f".{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ValueError(f"output folder {root} cannot be written ({error.strerror})") from error

    def stage(self, name: str, facts: dict[str, Any], count: int) -> Stage:
        """Return the stage ``name`` for these facts."""
        return Stage(self.root / name, {"stage": name} | facts, count)
