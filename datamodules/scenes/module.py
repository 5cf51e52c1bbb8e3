"""ScenesDataModule: the embedded generated data set, so that everything runs without a download."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

from datamodules.dataset import Loading
from datamodules.huggingface import HuggingFaceDataModule
from datamodules.images import Pixels
from datamodules.scenes.concepts import CONCEPTS
from datamodules.scenes.render import render_scene
from datamodules.source import DataError
from datamodules.splits import SplitSizes
from datamodules.text.base import TextFeatures

DEFAULT_PIXELS, DEFAULT_LOADER = Pixels(size=32), Loading(batch_size=64)
DEFAULT_SPLITS = SplitSizes(query=200, train=None, val_database=2000)

# Raise it when the renderer changes what it draws: cached pictures of an older renderer are not reused.
VERSION = 1
FEATURES = datasets.Features(
    {
        "image": datasets.Image(),
        "label": datasets.Sequence(datasets.ClassLabel(names=list(CONCEPTS))),
        "text": datasets.Value("string"),
    }
)


class ScenesDataModule(HuggingFaceDataModule):
    """Generated photographs-like scenes with one to three of 24 objects and an English caption.

    ``prepare_data`` renders them once and keeps them as an Arrow folder below ``cache_dir``; a scene depends
    on the seed and its number only.

    Args:
        num_images: scenes in the database pool (database, training and validation).
        seed: seed of the scenes.
        num_proc: processes that render.
        pixels: scenes are rendered at ``pixels.side``.
        splits: sizes of the splits; queries are rendered beside the pool.
        loader: batch size and workers.
        cache_dir: folder for scenes and manifests.
        text: text features, made of the captions; None gives none.
    """

    def __init__(
        self,
        num_images: int = 6500,
        seed: int = 0,
        num_proc: int = 2,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = DEFAULT_SPLITS,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
        text: TextFeatures | None = None,
    ) -> None:
        size, queries = pixels.side, splits.query
        if queries is None:
            raise DataError("splits.query=None: expected the number of queries to render")
        for option, value, least in (
            ("num_images", num_images, 2),
            ("splits.query", queries, 1),
            ("the side of the rendered scenes", size, 16),
        ):
            if value < least:
                raise DataError(f"{option}={value}: expected at least {least}")
        name = f"scenes-{num_images}-{queries}-{size}px-seed{seed}-v{VERSION}"
        self._folder = Path(cache_dir) / name
        self._counts = {"train": num_images, "test": queries}
        self._seed_of_scenes, self._num_proc = seed, num_proc
        super().__init__(
            path=str(self._folder),
            name="scenes",
            text_column="text",
            pixels=pixels,
            splits=splits,
            loader=loader,
            cache_dir=cache_dir,
            text=text,
        )

    def prepare_data(self) -> None:
        """Render the scenes, unless they are there; a killed run leaves nothing half-made behind."""
        if (self._folder / "dataset_dict.json").exists():
            return
        partial = self._folder.with_name(f"{self._folder.name}.{os.getpid()}.partial")
        try:
            parts = {split: self._render(split, count, partial) for split, count in self._counts.items()}
            datasets.DatasetDict(parts).save_to_disk(partial / "arrow")
            self._publish(partial / "arrow")
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _publish(self, made: Path) -> None:
        try:
            os.replace(made, self._folder)
        except OSError as error:
            if not (self._folder / "dataset_dict.json").exists():  # else another run was faster, with the same scenes
                raise DataError(f"{self._folder}: the scenes cannot be kept ({error.strerror})") from error

    def _render(self, split: str, count: int, folder: Path) -> Any:
        names = [f"{split}-{number:07d}" for number in range(count)]
        return datasets.Dataset.from_generator(
            scene_rows,
            features=FEATURES,
            cache_dir=str(folder / "cache"),
            gen_kwargs={"names": names, "seed": self._seed_of_scenes, "size": self.pixels.side},
            num_proc=min(self._num_proc, count),
            split=datasets.NamedSplit(split),
        )


def scene_rows(names: list[str], seed: int, size: int) -> Iterator[dict[str, Any]]:
    """Yield image, label and caption of the scenes with these names."""
    for name in names:
        scene = render_scene(seed, name, size)
        yield {"image": Image.fromarray(scene.image), "label": scene.label.nonzero()[0].tolist(), "text": scene.caption}
