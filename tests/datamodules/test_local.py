"""A data set from files: recognised, parsed once, checked, cut by its protocol."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from datamodules.catalogue import Catalogue
from datamodules.layouts.base import Layout, find_layout
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol, last_number, stem
from datamodules.source import DataError
from datamodules.splits import SplitSizes
from tests.datamodules.grouped import grouped

COUNT = 12
SMALL = Protocol("uni", ("ant", "bee"), ("bee", "ant"), SplitSizes(query=3, train=4), COUNT, "here", last_number)
LARGE = Protocol("cross", ("ant", "bee"), ("bee", "ant"), SplitSizes(query=2, train=5), 99, "Table 9")


class Flat(Layout):
    """``list.txt`` with a file name and the two columns bee, ant per line."""

    title = "flat (list.txt)"
    reads = 0

    def recognise(self, root, protocol):
        return (root / "list.txt").is_file()

    def read(self, root, protocol):
        Flat.reads += 1
        lines = [line.split() for line in (root / "list.txt").read_text().splitlines()]
        return Catalogue(
            name="bugs",
            class_names=protocol.legacy_class_names,
            ids=tuple(protocol.item_id(line[0]) for line in lines),
            labels=np.array([line[1:] for line in lines], dtype=np.uint8),
            paths=tuple(line[0] for line in lines),
            facts={"label_source": "list.txt"},
        )


class Bugs(LocalDataModule):
    short_name = "bugs"
    protocols: ClassVar[dict[str, Protocol]] = {"uni": SMALL, "cross": LARGE}
    layouts = (Flat(),)


@pytest.fixture
def root(tmp_path, encode):
    folder = tmp_path / "bugs"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"im{number:03d}.png").write_bytes(encode(Image.new("RGB", (8, 8), (number, 0, 0))))
    lines = [f"im{number:03d}.png {number % 2} {int(number < 5)}\n" for number in range(COUNT)]
    (folder / "list.txt").write_text("".join(lines))
    Flat.reads = 0
    return folder


def make(root, tmp_path, prepare=True, **options):
    module = Bugs(
        str(root),
        cache_dir=str(tmp_path / "cache"),
        **grouped(**({"size": 8, "val": 2, "query": None, "train": None} | options)),
    )
    if prepare:
        module.prepare_data()
        module.setup("fit")
    return module


def test_the_protocol_decides_the_sizes(root, tmp_path):
    module = make(root, tmp_path)
    assert [len(module.rows(split)) for split in ("train", "val", "query", "database")] == [4, 2, 3, 9]
    assert module.protocol_name == "bugs/uni"
    with pytest.warns(UserWarning, match=r"12 items, the protocol bugs/cross has 99 \(Table 9\)"):
        other = make(root, tmp_path, protocol="cross")
    assert [len(other.rows(split)) for split in ("train", "query")] == [5, 2]
    assert module.fingerprint != other.fingerprint
    assert len(make(root, tmp_path, query=1, train=None).rows("query")) == 1


def test_items_keep_their_labels_and_pictures(root, tmp_path):
    module = make(root, tmp_path)
    assert module.class_names == ("ant", "bee")
    for split in ("query", "database"):
        for item in module.dataset(split):
            number = int(item.sample_id)
            assert item.image[0].unique().tolist() == [number]
            assert item.label.tolist() == [int(number < 5), number % 2]


def test_the_legacy_column_order(root, tmp_path):
    module = make(root, tmp_path, class_order="legacy")
    assert module.class_names == ("bee", "ant")
    assert all(
        item.label.tolist() == [int(item.sample_id) % 2, int(int(item.sample_id) < 5)]
        for item in module.dataset("query")
    )


def test_files_are_parsed_once(root, tmp_path):
    module = make(root, tmp_path)
    make(root, tmp_path)
    assert Flat.reads == 1
    make(root, tmp_path, class_order="legacy")
    assert Flat.reads == 2
    manifest = next((tmp_path / "cache" / "manifests").glob(f"bugs-{module.fingerprint[:12]}*"))
    facts = {key.decode(): value.decode() for key, value in pq.read_schema(manifest).metadata.items()}
    assert facts["layout"] == "flat (list.txt)"
    assert facts["split_source"] == "retpur-v1"
    assert facts["protocol"] == "bugs/uni"


def test_missing_pictures_are_all_named_or_left_out(root, tmp_path):
    for number in (2, 7):
        (root / f"im{number:03d}.png").unlink()
    with pytest.raises(DataError, match=r"2 of 12 pictures are missing; .*:\n  im002\.png\n  im007"):
        make(root, tmp_path)
    with pytest.warns(UserWarning, match="10 items, the protocol bugs/uni has 12"):
        module = make(root, tmp_path, missing="skip")
    assert {item.sample_id for split in ("query", "database") for item in module.dataset(split)} == {
        *map(str, (0, 1, 3, 4, 5, 6, 8, 9, 10, 11))
    }
    assert module.source.facts["missing"] == "im002.png\nim007.png"


def test_setup_needs_preparation(root, tmp_path):
    module = make(root, tmp_path, prepare=False)
    with pytest.raises(RuntimeError, match="not prepared yet"):
        module.setup("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "all"}, "protocol='all': bugs has uni, cross"),
        ({"missing": "ignore"}, "missing='ignore': expected 'error' or 'skip'"),
        ({"class_order": "none"}, "class_order='none': expected 'alphabetical' or 'legacy'"),
    ],
)
def test_unknown_options(root, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        make(root, tmp_path, **options)


def test_other_layouts_are_listed(tmp_path):
    with pytest.raises(DataError, match="no such folder; expected the files of bugs"):
        find_layout(tmp_path / "none", SMALL, (Flat(),), "bugs")
    (tmp_path / "images").mkdir()
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"no known layout of bugs \(uni\)\. Found: a\.txt, images/\. Supported: flat"):
        find_layout(tmp_path, SMALL, (Flat(),), "bugs")


@pytest.mark.parametrize(
    ("path", "name", "number"),
    [
        ("train2014/COCO_train2014_000000000009.jpg", "COCO_train2014_000000000009", "9"),
        ("actor\\0001_2124494179.jpg ", "0001_2124494179", "2124494179"),
        ("im0.jpg", "im0", "0"),
        ("folder/no-digits.png", "no-digits", "no-digits"),
    ],
)
def test_ids_of_paths(path, name, number):
    assert stem(path) == name
    assert last_number(path) == number
