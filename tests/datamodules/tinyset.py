"""A benchmark of 14 pictures on disk in a layout of its own; each picture carries its id in its red channel."""

from __future__ import annotations

import numpy as np
from PIL import Image

from datamodules.catalogue import Catalogue
from datamodules.layouts import Layout
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol, stem
from datamodules.splits import SplitSizes

COUNT = 14
CLASSES, LEGACY = ("bird", "cat", "dog"), ("dog", "bird", "cat")
HOSTILE = "<script>alert('x')</script> & \"a\""


class ListLayout(Layout):
    """``list.txt`` with one ``file|labels|caption`` per line, labels in legacy order."""

    title = "list.txt with pictures beside it"
    reads = 0

    def recognise(self, root, protocol):
        return (root / "list.txt").is_file()

    def read(self, root, protocol):
        type(self).reads += 1
        rows = [line.split("|") for line in (root / "list.txt").read_text(encoding="utf-8").splitlines()]
        return Catalogue(
            name="tiny",
            class_names=LEGACY,
            ids=tuple(protocol.item_id(file) for file, _, _ in rows),
            labels=np.array([label.split() for _, label, _ in rows], dtype=np.uint8),
            paths=tuple(file for file, _, _ in rows),
            sentences=[[caption] for _, _, caption in rows],
            facts={"label_source": "three annotators"},
        )


class TinyDataModule(LocalDataModule):
    """14 pictures, 3 classes, 3 queries, 6 training items."""

    short_name = "tiny"
    layouts = (ListLayout(),)
    protocols = {  # noqa: RUF012 (a ClassVar in the base class)
        "uni": Protocol(
            name="uni",
            class_names=CLASSES,
            legacy_class_names=LEGACY,
            sizes=SplitSizes(query=3, train=6),
            items=COUNT,
            source="A. Author, 2020",
            item_id=stem,
        )
    }


def label_of(number):
    """Return the label of one picture in legacy order; number 5 has none."""
    return [0, 0, 0] if number == 5 else [number % 2, 1 - number % 2, int(number % 3 == 0)]


def write_tiny(root, count=COUNT):
    """Write the first ``count`` pictures, landscape and portrait by turns, and the list."""
    root.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(count):
        height, width = (9, 13) if number % 2 else (17, 11)
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[..., 0] = 10 * number
        Image.fromarray(pixels).save(root / f"im{number}.jpg", "JPEG", quality=95)
        lines.append(f"im{number}.jpg|{' '.join(map(str, label_of(number)))}|{HOSTILE} {number}")
    (root / "list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def tiny_module(root, cache_dir, **options):
    """Return a data module over these pictures that is set up."""
    sizes = options.pop("splits", SplitSizes(query=None, train=None, val=2))
    module = TinyDataModule(str(root), splits=sizes, cache_dir=str(cache_dir), **options)
    module.prepare_data()
    module.setup()
    return module
