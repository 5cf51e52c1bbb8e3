"""FolderPurification: cleans a folder of pictures of any size, for ``train.py predict``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from lightning_modules.atomic import replaced_at_once, written_at_once
from lightning_modules.checks import round_to_8bit
from lightning_modules.defences import Defence
from lightning_modules.hashing.checkpoints import load_hashing_module
from lightning_modules.processes import is_first_process
from lightning_modules.purification.folder_codes import write_codes
from lightning_modules.purification.probe import probe
from lightning_modules.purification.tiles import Blend, Tiling
from lightning_modules.types import Picture

RECORD = "purification.json"


class FolderPurification(LightningModule):
    """Purifies pictures tile by tile and writes each as a PNG, under its own name.

    The result of a picture depends on the picture, its id and the options, not on what is cleaned beside it. A PNG
    appears complete or not at all, so that a killed run goes on where it stopped. Pictures that cannot be read are
    named in ``skipped``, and the rest is done. Memory is bounded by tiles per call and the largest picture.

    Args:
        defence: what changes the pictures.
        out: folder of the results, made if it is not there.
        tile: largest side of a tile; larger pictures are cut in overlapping tiles, and these blended.
        multiple: pictures below a tile are padded by reflection to sides that are multiples of it.
        batch_size: tiles per call of the defence.
        hasher: checkpoint of a hashing network; all results are hashed to ``out/codes.parquet``.
        hasher_size: side of the pictures that it was trained on; results are resized and their middle cut out.

    Raises:
        ValueError: a tile that is no multiple of ``multiple``, or no tile per call.
    """

    def __init__(
        self,
        defence: Defence,
        out: str | None = None,
        tile: int = 256,
        multiple: int = 32,
        batch_size: int = 4,
        hasher: str | None = None,
        hasher_size: int = 224,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: expected at least 1 tile")
        self.defence, self.tiling, self.batch_size = defence, Tiling(tile, multiple), batch_size
        self._out, self._hasher_size = Path(out or ""), hasher_size
        self._named, self._hasher_file = out is not None, hasher
        self._hasher: Any = None
        self.skipped: list[str] = []
        self.written = 0
        self._progress: Any = None

    def setup(self, stage: str) -> None:
        """Make the folder and check what lies there.

        Raises:
            ValueError: no folder given, one that cannot be written or holds results of other options, or no hasher.
        """
        if stage != "predict":
            raise ValueError(f"FolderPurification predicts; it cannot {stage}")
        if not self._named:
            raise ValueError("out: expected the folder that the cleaned pictures are written to (--out FOLDER)")
        if self._hasher_file is not None:
            self._hasher = load_hashing_module(self._hasher_file)
        facts = {"defence": self.defence.fingerprint(), "tile": self.tiling.side, "multiple": self.tiling.multiple}
        record = self._out / RECORD
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            if not record.exists():
                with written_at_once(record) as file:
                    json.dump(facts, file)
        except OSError as error:
            raise ValueError(f"out={self._out}: cannot be written ({error.strerror})") from error
        if json.loads(record.read_text()) != facts:
            raise ValueError(f"out={self._out}: holds pictures cleaned with other options; give another folder")

    def on_predict_start(self) -> None:
        """Say what is to be done, and how long it will take."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        shapes = [self.tiling.shape(*size) for size in data.sizes for _ in self.tiling.corners(*size)]
        if is_first_process():
            print(f"{len(data.sizes)} of {data.num_pictures} pictures to clean, in {len(shapes)} tiles", flush=True)
        if not shapes:
            return
        largest = max(shapes, key=lambda shape: shape[0] * shape[1])
        count = min(self.batch_size, shapes.count(largest))
        cost = probe(self.defence, torch.rand(count, 3, *largest, device=self.device))
        pixels = sum(height * width for height, width in shapes)
        batches = pixels / (count * largest[0] * largest[1] * self.trainer.world_size)
        if is_first_process():
            print(f"{cost.estimate(batches)}, on {self.device}", flush=True)
            self._progress = tqdm(total=-(-len(shapes) // self.trainer.world_size), unit="tile")

    def predict_step(self, batch: list[Picture], batch_idx: int) -> list[str]:
        """Clean and write a group of pictures; returns the ids of those that were written."""
        del batch_idx
        self.skipped += [one.error for one in batch if one.image is None]
        blends: dict[str, Blend] = {}
        by_shape: dict[tuple[int, int], list[Picture]] = {}
        for one in batch:
            if one.image is not None:
                by_shape.setdefault(self.tiling.shape(*one.image.shape[-2:]), []).append(one)
        for alike in by_shape.values():
            for one, tile in self._clean(alike):
                assert one.image is not None  # noqa: S101 - narrows the type
                if one.sample_id not in blends:
                    blends[one.sample_id] = Blend(self.tiling, *one.image.shape[-2:])
                if blends[one.sample_id].add(tile):
                    self._write(one, blends.pop(one.sample_id).picture())
        return [one.sample_id for one in batch if one.image is not None]

    def _clean(self, pictures: list[Picture]) -> Iterator[tuple[Picture, Tensor]]:
        """Yield ``(picture, cleaned tile)`` of pictures whose tiles have one size, picture by picture."""
        waiting: list[tuple[Picture, str, Tensor]] = []
        for one in pictures:
            assert one.image is not None  # noqa: S101 - narrows the type
            corners = self.tiling.corners(*one.image.shape[-2:])
            for (top, left), tile in zip(corners, self.tiling.cut(one.image), strict=True):
                waiting.append((one, one.sample_id if len(corners) == 1 else f"{one.sample_id}@{top},{left}", tile))
                if len(waiting) == self.batch_size:
                    yield from self._call(waiting)
                    waiting = []
        yield from self._call(waiting)

    def _call(self, tiles: list[tuple[Picture, str, Tensor]]) -> Iterator[tuple[Picture, Tensor]]:
        if not tiles:
            return
        images = torch.stack([tile for _, _, tile in tiles]).to(self.device).float() / 255
        cleaned = self.defence(images, [name for _, name, _ in tiles])
        if self._progress is not None:
            self._progress.update(len(tiles))
        yield from zip((one for one, _, _ in tiles), cleaned, strict=True)

    def _write(self, picture: Picture, image: Tensor) -> None:
        pixels = round_to_8bit(image).permute(1, 2, 0).contiguous().numpy()
        with replaced_at_once(self._out / picture.target) as partial:
            Image.fromarray(pixels).save(partial, format="PNG")
        self.written += 1

    def on_predict_end(self) -> None:
        """Hash the results, and say what was done."""
        if self._progress is not None:
            self._progress.close()
        self.trainer.strategy.barrier()
        if self._hasher is not None and is_first_process():
            write_codes(self._hasher.to(self.device), self._out, self._hasher_size)
        print(f"{self.written} pictures cleaned, {len(self.skipped)} skipped: {self._out}", flush=True)
