"""StoredPairs: adversarial training images that an evaluation has crafted and stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from lightning_modules.purification.objectives.base import uniform_integers
from lightning_modules.purification.pairs.base import PairSource
from lightning_modules.types import Batch


class StoredPairs(PairSource):
    """Reads what ``evaluate.py`` attacked with ``split: train`` in its plan: one stage per hasher and attack.

    Args:
        evaluation: output folder of that evaluation.
        clean_share: probability that an image stays clean in an epoch.
        seed: seed of every choice.
    """

    def __init__(self, evaluation: str, clean_share: float = 0.5, seed: int = 0) -> None:
        super().__init__(clean_share, seed)
        self.evaluation = evaluation
        self._stages: list[tuple[Path, int]] = []

    def setup(self, data: Any, device: torch.device) -> None:
        """Find the finished stages of adversarial images; see :meth:`PairSource.setup`."""
        del device
        manifests = sorted((Path(self.evaluation) / "store" / "adversarial").glob("*/manifest.json"))
        if not manifests:
            raise ValueError(
                f"{self.evaluation}: no finished stage of adversarial images in store/adversarial; "
                "run evaluate.py with a plan with split: train and this output"
            )
        self._stages = [(path.parent, self._checked(path, data)) for path in manifests]

    @staticmethod
    def _checked(manifest: Path, data: Any) -> int:
        """Return the images per shard of a stage, if it is one of this training split."""
        facts = json.loads(manifest.read_text())["facts"]["queries"]
        if facts["split"] != "train":
            raise ValueError(
                f"{manifest}: adversarial images of split {facts['split']!r}, which no purifier may be trained on; "
                "expected those of split 'train'"
            )
        if facts["data"] != json.loads(json.dumps(data.pixel_facts)):
            raise ValueError(
                f"{manifest}: made from other data, splits or picture sizes than {data.dataset_name!r} has"
            )
        if facts["total"] != len(data.ids("train")):
            raise ValueError(
                f"{manifest}: {facts['total']} of {len(data.ids('train'))} training items; leave out num_queries"
            )
        return int(facts["shard_size"])

    def attacked(self, batch: Batch, choice: Tensor, epoch: int) -> Tensor:
        """Read each image from the stage that is drawn for it; see :meth:`PairSource.attacked`."""
        del epoch
        chosen = uniform_integers(choice, 0, torch.full_like(choice, len(self._stages) - 1)).tolist()
        images = [
            self._read(*self._stages[int(stage)], row) for stage, row in zip(chosen, batch.index.tolist(), strict=True)
        ]
        return torch.stack(images).to(batch.image) / 255

    @staticmethod
    def _read(folder: Path, shard_size: int, row: int) -> Tensor:
        number, place = divmod(row, shard_size)
        with safe_open(folder / f"shard-{number:05d}.safetensors", framework="pt") as file:
            image: Tensor = file.get_slice("images")[place]
        return image
