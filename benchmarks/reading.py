"""Reading pictures: the data module against bare decoding and resizing; start and memory of a set like NUS-WIDE.

Pictures are generated JPEGs of Flickr's usual size, 500 x 375; they are resized to 256 and cropped to 224.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import get_worker_info
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from benchmarks.timing import interleave, machine, median_ratio
from datamodules import Loading, Pixels, RetrievalDataModule, SplitSizes
from datamodules.catalogue import Catalogue, CatalogueSource
from datamodules.stores import PictureStore

PICTURES, ROUNDS = 150, 5
ITEMS, CLASSES, WORKERS = 195_834, 21, 2  # NUS-WIDE


class Generated(RetrievalDataModule):
    """A saved catalogue as a data set."""

    def __init__(self, folder: Path, splits: SplitSizes, loader: Loading) -> None:
        super().__init__(Pixels(224, 256), splits, loader, str(folder / "cache"))
        self._folder = folder

    def load_source(self) -> CatalogueSource:
        return CatalogueSource(self._folder / "catalogue.parquet", PictureStore(self._folder))


def make_pictures(folder: Path) -> list[str]:
    """Smooth random fields, which compress like photographs: about 60 kB each."""
    random, names = np.random.default_rng(0), []
    for number in range(PICTURES):
        coarse = Image.fromarray(random.integers(0, 256, (94, 125, 3), np.uint8))
        buffer = io.BytesIO()
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        names.append(f"{number}.jpg")
        (folder / names[-1]).write_bytes(buffer.getvalue())
    return names


def make_catalogue(folder: Path, names: list[str], count: int) -> None:
    labels = np.random.default_rng(1).integers(0, 2, (count, CLASSES)).astype(np.uint8)
    Catalogue(
        name="generated",
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        ids=tuple(f"{number:07d}" for number in range(count)),
        labels=labels,
        paths=tuple(names[number % len(names)] for number in range(count)),
        tags=[[f"tag{number % 1000}", f"tag{number % 77}"] for number in range(count)],
    ).save(folder / "catalogue.parquet")


def speed(folder: Path, names: list[str]) -> dict[str, Any]:
    """Pictures per second of the data module's loader, in one process, against decode + resize + crop."""
    make_catalogue(folder, names, PICTURES)
    module = Generated(folder, SplitSizes(query=10, val=0, train=None), Loading(batch_size=32))
    module.setup()
    paths = [folder / module.source.path(row) for row in module.rows("database")]  # type: ignore[arg-type]
    resize = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])

    def ours() -> int:
        return sum(len(batch) for batch in module.test_dataloader()[0])

    def bare() -> int:
        for path in paths:
            data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
            resize(decode_image(data, mode=ImageReadMode.RGB))
        return len(paths)

    (our_times, bare_times), (count, same) = interleave([ours, bare], ROUNDS)
    if count != same:
        raise RuntimeError(f"{count} pictures against {same}: the two do not read the same")
    return {
        "name": "reading / bare decode + resize",
        "ratio": round(median_ratio(bare_times, our_times), 3),
        "images_per_second": round(count / float(np.median(our_times))),
        **machine(),
    }


def resident_bytes(_: int = 0) -> int:
    """Proportional set size of this process: shared pages are shared out among those who use them (Linux)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


class _Measured(torch.utils.data.Dataset[int]):
    """Reads items, then tells the memory of the worker that did."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> int:
        self._items[index]
        return resident_bytes() if get_worker_info() is not None else 0


def start(folder: Path, names: list[str]) -> dict[str, Any]:
    """Seconds from the catalogue to the first batch, and memory of all processes after some thousand items."""
    make_catalogue(folder, names, ITEMS)
    before = resident_bytes()
    began = time.perf_counter()
    module = Generated(folder, SplitSizes(query=2100, val=500, train=10_500), Loading(32, WORKERS))
    module.setup()
    next(iter(module.train_dataloader()))
    seconds = time.perf_counter() - began
    loader = torch.utils.data.DataLoader(_Measured(module.dataset("database", slice(2000))), 50, num_workers=WORKERS)
    workers = sorted(int(sizes.max()) for sizes in loader)[-WORKERS:]
    total = resident_bytes() + sum(workers)
    return {
        "name": "reading, 195,834 items: GiB in all processes / 2",
        "ratio": round(total / 2**31, 3),
        "gib": round(total / 2**30, 2),
        "gib_before": round(before / 2**30, 2),
        "seconds_to_first_batch": round(seconds, 1),
        "workers": WORKERS,
        **machine(),
    }


def run() -> list[dict[str, Any]]:
    """Return both figures; the second only where the system tells the memory of a process."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        names = make_pictures(folder)
        figures = [speed(folder, names)]
        if Path("/proc/self/smaps_rollup").exists():
            figures.append(start(folder, names))
        return figures


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure))
