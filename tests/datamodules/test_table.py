"""A table of the user's own: three file formats, three forms of labels, and errors that name the line."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from grouped import grouped
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import DataError, TableDataModule
from datamodules.records import read_records
from datamodules.table import class_list, indicator, relative_path

PICTURES = ("a.png", "sub/b, c.png", "sub/é☃.png", "d.png", "e.png")
LABELS = (["dog", "cat"], ["cat"], ["ünïcode", "dog"], ["cat"], ["bird"])
CAPTIONS = ('a "dog", a cat', "", "two\nlines", "d", "e")
SPLITS = ("query", "train", "database", "train", "query")
NAMES = ("bird", "cat", "dog", "ünïcode")
HOT = [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0], [1, 0, 0, 0]]
ROWS = [
    {"image": image, "label": label, "caption": caption, "split": split, "other": number}
    for number, (image, label, caption, split) in enumerate(zip(PICTURES, LABELS, CAPTIONS, SPLITS, strict=True))
]
SIZES = {"query": 1, "val": 1, "train": None, "size": 8}


def _quoted(value):
    return '"' + str(value).replace('"', '""') + '"'


def _csv(delimiter=",", end="\n"):
    lines = [delimiter.join(ROWS[0])]
    lines += [delimiter.join(map(_quoted, (row | {"label": " | ".join(row["label"])}).values())) for row in ROWS]
    return end.join(lines) + end


def _write_parquet(path):
    pq.write_table(pa.Table.from_pylist(ROWS), path)


WRITERS = {
    "csv": lambda path: path.write_bytes(_csv().encode()),
    "crlf": lambda path: path.write_bytes(_csv(end="\r\n").encode()),
    "cr": lambda path: path.write_bytes(_csv(end="\r").encode()),
    "bom": lambda path: path.write_bytes(b"\xef\xbb\xbf" + _csv().encode()),
    "utf-16": lambda path: path.write_bytes(_csv().encode("utf-16")),
    "semicolons": lambda path: path.write_bytes(_csv(";").encode()),
    "tabs": lambda path: path.write_bytes(_csv("\t").encode()),
    "blank lines": lambda path: path.write_bytes(b"\n\n" + _csv(end="\n\n").encode()),
    "parquet": _write_parquet,
    "json lines": lambda path: path.write_text("\n".join(json.dumps(row) for row in ROWS)),
    "json crlf": lambda path: path.write_bytes("\r\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS).encode()),
}


@pytest.fixture
def root(tmp_path):
    """Write pictures whose grey is 10 times their number."""
    root = tmp_path / "album"
    for number, path in enumerate(PICTURES):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (10 * number,) * 3).save(root / path)
    return root


@pytest.fixture
def opened(root, tmp_path):
    def make(content=None, **options):
        if content is not None:
            (root / "labels").write_bytes(content if isinstance(content, bytes) else content.encode())
        options = grouped(**(SIZES | options))
        module = TableDataModule(str(root), "labels", cache_dir=str(tmp_path / "cache"), **options)
        module.prepare_data()
        module.setup()
        return module

    return make


@pytest.fixture
def fails(opened, root):
    def check(content, *messages, **options):
        with pytest.raises(DataError) as caught:
            opened(content, **options)
        assert str(root) in str(caught.value)
        for message in messages:
            assert message in str(caught.value)

    return check


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same(root, opened, kind):
    WRITERS[kind](root / "labels")
    module = opened(caption_column="caption", split_column="split", query=None)
    source = module.source
    assert source.ids == PICTURES
    assert source.class_names == NAMES
    assert source.labels.tolist() == HOT
    assert [source.image(row)[0, 0, 0].item() for row in range(5)] == [0, 10, 20, 30, 40]
    captions = [" ".join(source.sentences(row)) for row in range(5)]
    assert [" ".join(text.split()) for text in captions] == [" ".join(t.split()) for t in CAPTIONS]
    assert source.sentences(1) == ()
    assert module.ids("query") == ("a.png", "e.png")
    assert module.ids("train") == ("sub/b, c.png", "d.png")
    assert module.ids("val") == ("sub/é☃.png",)
    assert module.ids("database") == PICTURES[1:4]


def test_formats_share_one_fingerprint(root, opened):
    marks = set()
    for kind in ("csv", "parquet", "json lines"):
        WRITERS[kind](root / "labels")
        marks.add(opened().fingerprint)
    assert len(marks) == 1


def test_0_1_columns(opened):
    module = opened("image,z,a\na.png,1,0\nd.png,1.0,1\ne.png,0, 0\n", label_columns=["z", "a"])
    assert module.class_names == ("a", "z")
    assert module.source.labels.tolist() == [[0, 1], [1, 1], [0, 0]]


def test_json_lists_in_cells(opened):
    module = opened('image;label\na.png;"[""x|y"", ""b""]"\nd.png;b\ne.png;[]\n')
    assert module.class_names == ("b", "x|y")
    assert module.source.labels.tolist() == [[1, 1], [1, 0], [0, 0]]


def test_other_columns_and_separator(opened):
    content = "file\tkinds\na.png\tx; y\nd.png\ty;;\nsub\\é☃.png\tx\n"
    module = opened(content, image_column="file", label_column="kinds", label_separator=";")
    assert module.source.ids == ("a.png", "d.png", "sub/é☃.png")
    assert module.source.labels.tolist() == [[1, 1], [0, 1], [1, 0]]


def test_whole_numbers_are_names(root, opened):
    pq.write_table(pa.table({"image": ["a.png", "d.png", "e.png"], "label": [10, 9, 10]}), root / "labels")
    assert opened().class_names == ("10", "9")


def test_lists_of_captions(root, opened):
    rows = [{"image": name, "label": "x", "text": text} for name, text in (("a.png", ["one", "two "]), ("d.png", None))]
    (root / "labels").write_text("\n".join(map(json.dumps, [*rows, {"image": "e.png", "label": ["y"]}])))
    source = opened(caption_column="text").source
    assert [source.sentences(row) for row in range(3)] == [("one", "two "), (), ()]


def test_without_training_rows_they_are_drawn(opened):
    content = "image,label,split\na.png,x,query\nd.png,x,database\ne.png,y,database\n"
    module = opened(content, split_column="split", query=None)
    assert module.ids("query") == ("a.png",)
    assert sorted(module.ids("train") + module.ids("val")) == ["d.png", "e.png"]


def test_missing_pictures(root, opened, fails, tmp_path):
    content = "image,label\ngone.png,x\na.png,x\nsub/no.png,y\nnowhere/no.png,y\nd.png,z\ne.png,x\n"
    fails(content, "3 of 6 pictures are missing; missing=skip", "\n  gone.png\n  sub/no.png\n  nowhere/no.png")
    module = opened(content, missing="skip")
    assert module.source.ids == ("a.png", "d.png", "e.png")
    assert module.source.labels.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]
    (manifest,) = (tmp_path / "cache/manifests").iterdir()
    assert pq.read_schema(manifest).metadata[b"missing"] == b"gone.png\nsub/no.png\nnowhere/no.png"
    Image.new("RGB", (9, 7)).save(root / "sub/no.png")
    assert opened(missing="skip").source.ids == ("a.png", "sub/no.png", "d.png", "e.png")
    fails("image,label\nx.png,a\n", "none of the 1 listed pictures", missing="skip")


def test_an_edited_table_is_read_again(opened):
    assert opened("image,label\na.png,x\nd.png,x\ne.png,x\n").class_names == ("x",)
    assert opened("image,label\na.png,x\nd.png,y\ne.png,x\n").class_names == ("x", "y")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the table is empty"),
        ("\n \n", "no column"),
        ("image,label\n", "the table has no rows"),
        ("file,label\na.png,x\n", "no column 'image'; the table has 'file', 'label'"),
        ("image,image,label\na.png,a.png,x\n", "several columns are called 'image'"),
        ("image,label\na.png,x\nd.png\n", "line 3: 1 fields, but the header has 2"),
        ('image,label\na.png,"x\ny"\nd.png,x,y\n', "line 4: 3 fields"),
        ('image,label\na.png,x\nd.png,"x\n', "line 3: no CSV"),
        (b"image,label\na.png,caf\xe9\n", "line 2: not UTF-8"),
        ("image,label\na.png,x\nd.png,\n", "line 3, column 'label': no class; an item that has none is written []"),
        ("image,label\na.png,x\nd.png, | \n", "line 3, column 'label': no class"),
        ("image,label\na.png,['x']\n", "line 2, column 'label': \"['x']\" is no JSON list"),
        ("image,label\na.png,[1.5]\n", "line 2, column 'label': [1.5], expected names of classes"),
        ("image,label\na.png,[]\nd.png,[]\n", "no row has a class"),
        ("image,label\n,x\n", "line 2, column 'image': '', expected the path of a picture"),
        ("image,label\n/etc/a.png,x\n", "line 2, column 'image': '/etc/a.png' is outside of"),
        ("image,label\n../a.png,x\n", "'../a.png' is outside of"),
        ("image,label\nsub/../../a.png,x\n", "is outside of"),
        ("image,label\nC:\\b\\a.png,x\n", "is outside of"),
        ("image,label\np.npy#x,x\n", "expected the number of an item"),
        ("image,label\na.png,x\nd.png,y\n./a.png,z\n", "1 pictures are listed again; several classes"),
        ("image,label\na.png,x\nd.png,y\n./a.png,z\n", "a.png: line 2 and line 4"),
        ('{"image": "a.png", "label": "x"}\n{"image": \n', "line 2: no JSON"),
        ('{"image": "a.png", "label": "x"}\n\n["a.png"]\n', "line 3: list, expected one JSON object per line"),
        ('{"image": "a.png", "kind": "x"}\n', "no column 'label'; the table has 'image', 'kind'"),
        ('{"image": "a.png", "label": "x"}\n{"image": "d.png"}\n', "line 2, column 'label': no class"),
        ('{"image": 7, "label": "x"}\n', "line 1, column 'image': 7, expected the path"),
        ('{"image": "a.png", "label": {"x": 1}}\n', "line 1, column 'label': [{'x': 1}], expected names"),
        ('{"image": "a.png", "label": "\\ud800"}\n', "line 1, column 'label': '\\ud800' is not UTF-8"),
        ('{"image": "a.png", "label": "a\\u001fb"}\n', "holds control characters"),
        (b"PAR1 and nothing else", "a damaged Parquet file"),
    ],
)
def test_damaged_tables_name_the_line(fails, content, message):
    fails(content, message)


def test_unknown_splits_are_listed(fails):
    content = "image,label,split\na.png,x,test\nd.png,x,database\ne.png,x,\n"
    fails(content, "2 values other than train, query, database:\n  line 2: 'test'\n  line 4: ''", split_column="split")
    fails(content, "no column 'part'; the table has 'image', 'label', 'split'", split_column="part")
    fails("image,label,split\na.png,x,query\n", "names no row 'database'", split_column="split")
    fails("image,label,split\na.png,x,train\n", "names no row 'query'", split_column="split")


def test_wrong_indicators_name_the_line(fails):
    fails("image,a\na.png,1\nd.png,2\n", "line 3, column 'a': '2', expected 0 or 1", label_columns=["a"])
    fails("image,a\na.png,1\n", "no column 'b'; the table has 'image', 'a'", label_columns=["a", "b"])


def test_parquet_columns_are_checked(root, fails):
    pq.write_table(pa.table({"image": ["a.png"], "kind": ["x"]}), root / "labels")
    fails(None, "no column 'label'; the table has 'image', 'kind'")
    pq.write_table(pa.table({"image": [{"bytes": b"1"}], "label": ["x"]}), root / "labels")
    fails(None, "row 1, column 'image'", "expected the path of a picture")


def test_absolute_paths_below_root_are_fine(root, opened):
    assert opened(f"image,label\n{root}/a.png,x\nd.png,x\n{root}/sub/é☃.png,y\n").source.ids[2] == "sub/é☃.png"


def test_missing_files_are_named(tmp_path, root, fails):
    fails(None, "labels: the table cannot be read (No such file or directory)")
    with pytest.raises(DataError, match="none: no such folder"):
        TableDataModule(str(tmp_path / "none"), "t.csv", cache_dir=str(tmp_path / "cache")).prepare_data()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "drop"}, "missing='drop': expected 'error' or 'skip'"),
        ({"label_separator": ""}, "label_separator=''"),
        ({"image_column": "label"}, "columns label, label: one is named twice"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(DataError, match=message):
        TableDataModule("root", "t.csv", **options)


@settings(max_examples=100, deadline=None)
@given(value=st.text(max_size=12) | st.sampled_from(["a/../..", "//a", "\\a", "C:/", "./", "a//b", "x.npy#1/2"]))
def test_no_path_leaves_the_root(tmp_path_factory, value):
    root = tmp_path_factory.getbasetemp()
    try:
        path = relative_path(value, root, "line 1")
    except DataError:
        return
    assert path
    assert root in (root / path).absolute().parents
    assert ".." not in path.split("/")


@settings(max_examples=100, deadline=None)
@given(value=st.none() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.text(max_size=4) | st.none()))
def test_cells_give_labels_or_a_data_error(value):
    for parse, right in (
        (lambda: class_list(value, "|", "line 1"), lambda names: all(n == n.strip() != "" for n in names)),
        (lambda: indicator(value, "line 1"), lambda number: number in (0, 1)),
    ):
        try:
            found = parse()
        except DataError:
            continue
        assert right(found)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), min_size=1, max_size=5))
def test_csv_of_any_texts_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    lines = ["image,label", *(",".join(map(_quoted, row)) for row in rows)]
    path.write_bytes("\n".join(lines).encode("utf-8"))
    found = read_records(path, ["image", "label"])
    assert [(record.values["image"], record.values["label"]) for record in found] == rows


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=30).map(lambda tail: b"image,label\n" + tail) | st.binary(max_size=30))
def test_any_bytes_give_records_or_a_data_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    try:
        records = read_records(path, ["image", "label"])
    except DataError:
        return
    assert all(set(record.values) == {"image", "label"} for record in records)
