"""Pictures from rows of a Hugging Face data set, joined by the photograph's number with labels on disk."""

from __future__ import annotations

import io
import pickle
from typing import ClassVar

import datasets
import numpy as np
import pytest
from PIL import Image

from datamodules import Pixels
from datamodules.catalogue import Catalogue
from datamodules.hub_pictures import HubPictures
from datamodules.layouts.base import Layout
from datamodules.layouts.lists import HashNetLists
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol, last_number
from datamodules.source import DataError
from datamodules.splits import SplitSizes

COUNT = 12
SHUFFLED = (99, *range(COUNT - 1, -1, -1))


class Numbers(Layout):
    """``list.txt`` with a number and two labels per line."""

    title = "numbers (list.txt)"

    def recognise(self, root, protocol):
        return (root / "list.txt").is_file()

    def read(self, root, protocol):
        lines = [line.split() for line in (root / "list.txt").read_text().splitlines()]
        return Catalogue(
            name="numbers",
            class_names=protocol.class_names,
            ids=tuple(line[0] for line in lines),
            labels=np.array([line[1:] for line in lines], dtype=np.uint8),
            paths=tuple(f"{line[0]}.png" for line in lines),
        )


class Numbered(LocalDataModule):
    short_name = "numbered"
    protocols: ClassVar[dict[str, Protocol]] = {
        "uni": Protocol(
            "uni", ("even", "odd"), ("even", "odd"), SplitSizes(query=3, train=4), COUNT, "here", last_number
        )
    }
    layouts = (Numbers(), HashNetLists())


def png(number):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    lines = [f"{number} {1 - number % 2} {number % 2}\n" for number in range(COUNT)]
    (folder / "list.txt").write_text("".join(lines))
    return folder


@pytest.fixture
def hub(tmp_path):
    """Write rows in another order than the list, and one that no item wants; return a function with options."""

    def make(numbers=SHUFFLED, names=lambda number: f"COCO_{number:012d}.jpg", **options):
        rows = {
            "file": [names(number) for number in numbers],
            "photo": [{"bytes": png(number), "path": None} for number in numbers],
        }
        features = datasets.Features(
            {"file": datasets.Value("int64" if names is int else "string"), "photo": datasets.Image()}
        )
        folder = tmp_path / f"hub{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        datasets.Dataset.from_dict(rows, features=features).to_parquet(str(folder / "train.parquet"))
        return HubPictures(**{"path": str(folder), "id_column": "file", "image_column": "photo"} | options)

    return make


def module(root, tmp_path, hub, **options):
    made = Numbered(
        str(root),
        pixels=Pixels(8),
        splits=SplitSizes(query=3, val=0, train=None),
        cache_dir=str(tmp_path / "cache"),
        hub=hub,
        **options,
    )
    made.prepare_data()
    made.setup()
    return made


@pytest.mark.parametrize("names", [lambda number: f"COCO_{number:012d}.jpg", int])
def test_every_item_gets_its_own_picture(root, tmp_path, hub, names):
    made = module(root, tmp_path, hub(names=names))
    seen = 0
    for loader in made.test_dataloader():
        for sample_id, image in _pairs(loader):
            assert image[0, 0, 0].item() == 10 * int(sample_id)
            seen += 1
    assert seen == COUNT
    assert "joined by file" in made.source.facts["picture_source"]


def _pairs(loader):
    for batch in loader:
        yield from zip(batch.ids, batch.image, strict=True)


def test_same_fingerprint_as_from_disk(root, tmp_path, hub):
    from_hub = module(root, tmp_path, hub())
    for number in range(COUNT):
        (root / f"{number}.png").write_bytes(png(number))
    assert module(root, tmp_path, None).fingerprint == from_hub.fingerprint


def test_travels_to_a_worker(root, tmp_path, hub):
    source = module(root, tmp_path, hub()).source
    source.image(0)
    assert pickle.loads(pickle.dumps(source)).image(3).equal(source.image(3))  # noqa: S301 - our own bytes


def test_items_without_a_row_are_missing(root, tmp_path, hub):
    without = hub(numbers=[n for n in range(COUNT) if n not in (4, 7)])
    with pytest.raises(DataError, match=r"(?s)2 of 12 pictures are missing.*no row of 4\b.*no row of 7\b"):
        module(root, tmp_path, without)
    with pytest.warns(UserWarning, match="10 items, the protocol"):
        assert len(module(root, tmp_path, without, missing="skip").source.ids) == COUNT - 2


def test_no_row_at_all(root, tmp_path, hub):
    with pytest.raises(DataError, match="none of the 12 listed pictures"):
        module(root, tmp_path, hub(numbers=[50]))


def test_two_rows_of_one_photograph(root, tmp_path, hub):
    with pytest.raises(DataError, match="rows 0 and 12 both have file"):
        module(root, tmp_path, hub(numbers=[*range(COUNT), 0]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"id_column": "number"}, r"hub\.id_column='number': .*file"),
        ({"image_column": "file"}, r"hub\.image_column='file': .*no pictures"),
        ({"split": "test"}, r"hub\.path=.*cannot be loaded"),
    ],
)
def test_wrong_option(root, tmp_path, hub, options, words):
    with pytest.raises(DataError, match=words):
        module(root, tmp_path, hub(**options))


@pytest.mark.parametrize("revision", [None, "main"])
def test_a_hub_id_needs_a_commit(revision):
    with pytest.raises(DataError, match=r"hub\.revision=.*40 hexadecimal"):
        HubPictures("somebody/coco", "id", revision=revision)


def test_a_commit_is_taken():
    assert HubPictures("somebody/coco", "id", revision="0" * 40).title.startswith("somebody/coco@0000")


def test_published_lists_without_any_picture_on_disk(root, tmp_path, hub):
    (root / "list.txt").unlink()
    parts = {"database": range(9), "test": range(9, 12), "train": range(4)}
    for part, numbers in parts.items():
        lines = [f"images/COCO_{number:012d}.jpg {1 - number % 2} {number % 2}\n" for number in numbers]
        (root / f"{part}.txt").write_text("".join(lines))
    made = module(root, tmp_path, hub())
    for sample_id, image in _pairs(made.test_dataloader()[1]):
        assert int(sample_id) >= 9
        assert image[0, 0, 0].item() == 10 * int(sample_id)
