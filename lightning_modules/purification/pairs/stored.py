"""StoredPairs: adversarial training images that an evaluation has crafted and stored."""

from __future__ import annotations

import json
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_modules.purification.objectives.base import uniform_integers
from lightning_modules.purification.pairs.base import PairSource
from lightning_modules.store_files import ADVERSARIAL, STAGE_VERSIONS, StoreFiles, manifest_path, shard_path
from lightning_modules.types import Batch


class StoredPairs(PairSource):
    """Reads what ``evaluate.py`` attacked with ``split: train`` in its plan: one stage per hasher and attack.

    Every finished stage of the store is used, whichever run left it there, unless an older version of the suite
    computed it: give the evaluation of training items an output or store of its own. What is used is logged.

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
        folders = [f"{ADVERSARIAL}/{name}" for name in sorted(self._files.names(ADVERSARIAL))]
        finished = {folder: self._facts(folder) for folder in folders if self._files.exists(manifest_path(folder))}
        version = STAGE_VERSIONS[ADVERSARIAL]
        for folder in (folder for folder, facts in finished.items() if facts["version"] != version):
            rank_zero_info(f"{self._files.address}/{folder}: left out, not of version {version} of its stage")
        current = {folder: facts for folder, facts in finished.items() if facts["version"] == version}
        if not current:
            raise ValueError(
                f"{self._files.address}/{ADVERSARIAL}: no finished stage of adversarial images (version {version}); "
                "run evaluate.py with a plan with split: train and this output or store"
            )
        for folder, facts in current.items():
            self._check(folder, facts["queries"], data)
            rank_zero_info(
                f"{self._files.address}/{folder}: {facts['queries']['total']} adversarial images, attack "
                f"{facts['attack'][:12]} on hasher {facts['database'][:12]}, seed {facts['seed']}"
            )
        self._stages = [
            _StoredImages(self._files, folder, int(facts["queries"]["shard_size"])) for folder, facts in current.items()
        ]

    def _facts(self, folder: str) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self._files.read(manifest_path(folder)))["facts"]
        return facts

    def _check(self, folder: str, facts: dict[str, Any], data: Any) -> None:
        """Refuse a stage, given by the facts of its queries, of anything but this whole training split."""
        title = f"{self._files.address}/{manifest_path(folder)}"
        if facts["split"] != "train":
            raise ValueError(
                f"{title}: adversarial images of split {facts['split']!r}, which no purifier may be trained on; "
                "expected those of split 'train': give the evaluation of training items an output or store of its own"
            )
        if facts["data"] != json.loads(json.dumps(data.pixel_facts)):
            raise ValueError(f"{title}: made from other data, splits or picture sizes than {data.dataset_name!r} has")
        if facts["total"] != len(data.ids("train")):
            raise ValueError(
                f"{title}: {facts['total']} of {len(data.ids('train'))} training items; leave out num_queries"
            )

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
        path = shard_path(self._folder, shard)
        if path not in self._layouts:
            self._layouts[path] = self._layout(path)
        first, size = self._layouts[path]
        return path, first + place * size, first + (place + 1) * size

    def _layout(self, path: str) -> tuple[int, int]:
        """Return the first byte of a shard's images, and the bytes of each."""
        header, data = self._files.read_tensor_header(path)
        begin, end = header["images"]["data_offsets"]
        return data + begin, (end - begin) // header["images"]["shape"][0]
