"""StoredPairs: adversarial training images that an evaluation has crafted and stored."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from lightning_modules.purification.objectives.base import uniform_integers
from lightning_modules.purification.pairs.base import PairSource
from lightning_modules.store_files import StoreFiles
from lightning_modules.types import Batch

STAGE = "adversarial"


class StoredPairs(PairSource):
    """Reads what ``evaluate.py`` attacked with ``split: train`` in its plan: one stage per hasher and attack.

    Args:
        evaluation: output folder of that evaluation.
        clean_share: probability that an image stays clean in an epoch.
        seed: seed of every choice.
        store: in place of ``evaluation``, the plan's option of this name: a folder, or an address that fsspec knows.

    Raises:
        ValueError: neither or both of ``evaluation`` and ``store``, or a file system that is unknown.
    """

    def __init__(
        self, evaluation: str | None = None, clean_share: float = 0.5, seed: int = 0, store: str | None = None
    ) -> None:
        super().__init__(clean_share, seed)
        if (evaluation is None) == (store is None):
            raise ValueError("give either evaluation (an output folder of evaluate.py) or store (the plan's option)")
        self._files = StoreFiles(store or f"{evaluation}/store")
        self._stages: list[_StoredImages] = []

    def setup(self, data: Any, device: torch.device) -> None:
        """Find the finished stages of adversarial images; see :meth:`PairSource.setup`."""
        del device
        folders = (f"{STAGE}/{name}" for name in sorted(self._files.names(STAGE)))
        finished = [folder for folder in folders if self._files.exists(f"{folder}/manifest.json")]
        if not finished:
            raise ValueError(
                f"{self._files.address}/{STAGE}: no finished stage of adversarial images; "
                "run evaluate.py with a plan with split: train and this output or store"
            )
        self._stages = [_StoredImages(self._files, folder, self._checked(folder, data)) for folder in finished]

    def _checked(self, folder: str, data: Any) -> int:
        """Return the images per shard of a stage, if it is one of this training split."""
        manifest = f"{folder}/manifest.json"
        facts = json.loads(self._files.read(manifest))["facts"]["queries"]
        title = f"{self._files.address}/{manifest}"
        if facts["split"] != "train":
            raise ValueError(
                f"{title}: adversarial images of split {facts['split']!r}, which no purifier may be trained on; "
                "expected those of split 'train'"
            )
        if facts["data"] != json.loads(json.dumps(data.pixel_facts)):
            raise ValueError(f"{title}: made from other data, splits or picture sizes than {data.dataset_name!r} has")
        if facts["total"] != len(data.ids("train")):
            raise ValueError(
                f"{title}: {facts['total']} of {len(data.ids('train'))} training items; leave out num_queries"
            )
        return int(facts["shard_size"])

    def attacked(self, batch: Batch, choice: Tensor, epoch: int) -> Tensor:
        """Read each image from the stage that is drawn for it; see :meth:`PairSource.attacked`."""
        del epoch
        chosen = uniform_integers(choice, 0, torch.full_like(choice, len(self._stages) - 1)).tolist()
        rows = zip(chosen, batch.index.tolist(), strict=True)
        parts = [self._stages[int(stage)].part(row) for stage, row in rows]
        images = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in self._files.read_parts(parts)]
        return torch.stack(images).view(batch.image.shape).to(batch.image) / 255


class _StoredImages:
    """Where the images of one stage lie: uint8, in shards of equal size."""

    def __init__(self, files: StoreFiles, folder: str, shard_size: int) -> None:
        self._files, self._folder, self._shard_size = files, folder, shard_size
        self._layouts: dict[str, tuple[int, int]] = {}

    def part(self, row: int) -> tuple[str, int, int]:
        """Return file, first byte and the byte after the last of an image, by its position in the split."""
        shard, place = divmod(row, self._shard_size)
        path = f"{self._folder}/shard-{shard:05d}.safetensors"
        if path not in self._layouts:
            self._layouts[path] = self._layout(path)
        first, size = self._layouts[path]
        return path, first + place * size, first + (place + 1) * size

    def _layout(self, path: str) -> tuple[int, int]:
        """Return the first byte of a shard's images, and the bytes of each."""
        header, data = self._files.read_tensor_header(path)
        begin, end = header["images"]["data_offsets"]
        return data + begin, (end - begin) // header["images"]["shape"][0]
