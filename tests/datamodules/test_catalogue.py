"""A catalogue holds what the files say, and comes back from disk as it was."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from datamodules.catalogue import Catalogue, CatalogueSource
from datamodules.source import DataError
from datamodules.stores import PictureStore

LABELS = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], np.uint8)


def rows(*values):
    return np.array(values, dtype=np.int64)


@pytest.fixture
def catalogue():
    return Catalogue(
        name="pets",
        class_names=("cat", "dog", "emu"),
        ids=("7", "9", "11", "2"),
        labels=LABELS,
        paths=tuple(f"images/{n}.png" for n in (7, 9, 11, 2)),
        keys=("a", "b", "b", "c"),
        sentences=[("Ein Käfig.", "Two."), (), ("x",), ("y",)],
        tags=[("a,b", "c d"), ("é",), (), ("z",)],
        query=rows(3, 0),
        database=rows(1, 2),
        train=rows(2, 1, 2),
        facts={"layout": "lists", "label_source": "labels.txt"},
    )


def opened(catalogue, folder):
    catalogue.save(folder / "c.parquet")
    return CatalogueSource(folder / "c.parquet", PictureStore(folder))


def test_it_comes_back_as_it_was(catalogue, tmp_path):
    source = opened(catalogue, tmp_path)
    for copy in (source, pickle.loads(pickle.dumps(source))):  # noqa: S301 - what a loader does
        assert (copy.name, copy.class_names, copy.ids, copy.keys) == (
            *(catalogue.name, catalogue.class_names, catalogue.ids, catalogue.keys),
        )
        assert np.array_equal(copy.labels, LABELS)
        assert copy.labels.dtype == np.uint8
        assert copy.query_pool.tolist() == [3, 0]
        assert copy.database_pool.tolist() == [1, 2]
        assert copy.train_pool.tolist() == [2, 1, 2]
        assert copy.facts == {"layout": "lists", "label_source": "labels.txt"}
        assert [copy.path(row) for row in range(4)] == list(catalogue.paths)
        assert [copy.sentences(row) for row in range(4)] == [("Ein Käfig.", "Two."), (), ("x",), ("y",)]
        assert [copy.tags(row) for row in range(4)] == [("a,b", "c d"), ("é",), (), ("z",)]
        assert [copy.caption(row) for row in range(4)] == ["Ein Käfig. Two.", "é", "x", "y"]


def test_what_is_not_there_stays_absent(catalogue, tmp_path):
    bare = replace(catalogue, keys=None, sentences=None, tags=None, query=None, database=None, train=None)
    source = opened(bare, tmp_path)
    assert source.keys is None
    assert source.train_pool is None
    assert source.query_pool.tolist() == source.database_pool.tolist() == [0, 1, 2, 3]
    assert source.caption(0) is None


def test_pictures_are_read_below_the_root(catalogue, tmp_path, encode):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "9.png").write_bytes(encode(Image.new("RGB", (4, 4), (9, 9, 9))))
    source = opened(catalogue, tmp_path)
    assert source.image(1).unique().tolist() == [9]
    with pytest.raises(DataError, match=r"images/7\.png: cannot be read"):
        source.image(0)


def test_a_selection_keeps_lists_and_order(catalogue):
    part = catalogue.select(rows(0, 2, 3), missing="images/9.png")
    assert part.ids == ("7", "11", "2")
    assert part.query.tolist() == [2, 0]
    assert part.database.tolist() == [1]
    assert part.train.tolist() == [1, 1]
    assert part.keys == ("a", "b", "c")
    assert [tuple(text) for text in part.sentences] == [("Ein Käfig.", "Two."), ("x",), ("y",)]
    assert np.array_equal(part.labels, LABELS[[0, 2, 3]])
    assert part.facts["missing"] == "images/9.png"
    assert part.facts["layout"] == "lists"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ("7", "9", "7", "9")}, "pets: 2 repeated ids: 7, 9"),
        ({"paths": ("a", "b")}, "pets: 2 paths for 4 ids"),
        ({"tags": [()] * 5}, "pets: 5 tags for 4 ids"),
        ({"labels": LABELS.astype(np.int64)}, r"labels are int64 \(4, 3\), expected uint8 \(4, 3\)"),
        ({"class_names": ("cat", "dog")}, r"labels are uint8 \(4, 3\), expected uint8 \(4, 2\)"),
        ({"labels": LABELS + (LABELS == 1)}, "pets item 7: labels other than 0 and 1"),
        ({"train": rows(1, 4)}, r"rows of 'train' outside 0\.\.3"),
        ({"query": rows(-1)}, r"rows of 'query' outside 0\.\.3"),
        ({"ids": (), "labels": LABELS[:0]}, "pets: no items found"),
    ],
)
def test_contradictions_are_named(catalogue, changes, message):
    with pytest.raises(DataError, match=message):
        replace(catalogue, **changes)


def test_a_file_of_another_kind_or_version_is_refused(catalogue, tmp_path):
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"id": ["1"]}), path)
    with pytest.raises(DataError, match="a catalogue of another version"):
        CatalogueSource(path, PictureStore(tmp_path))
    path.write_text("no parquet")
    with pytest.raises(DataError, match="the catalogue cannot be read"):
        CatalogueSource(path, PictureStore(tmp_path))
