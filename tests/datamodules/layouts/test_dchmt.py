"""DCHMT's three files: v5, v7.3 and plain HDF5; every nesting of captions; paths of another machine."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.layouts.dchmt import DchmtTrio, label_matrix
from datamodules.layouts.matlab import load_mat, string_lists, strings
from datamodules.protocol import Protocol, last_number
from datamodules.source import DataError
from datamodules.splits import SplitSizes
from datamodules.stores import PictureStore

# 4 items, 3 classes, pictures of 6 x 5; labels are the binary digits of the number, red is 20 x number.
NUMBERS = (10, 2, 5, 1)
PROTOCOL = Protocol(
    name="cross",
    class_names=("animals", "baby", "sky"),
    legacy_class_names=("sky", "animals", "baby"),
    sizes=SplitSizes(query=1, train=2),
    items=4,
    source="test",
    item_id=last_number,
)
LABELS = np.array([[number >> shift & 1 for shift in (2, 1, 0)] for number in NUMBERS], dtype=np.float64)
PATHS = [f"/home/me/data/coco/train2014/COCO_train2014_{number:012d}.jpg" for number in NUMBERS]
CAPTIONS = [["a dog. ", "two dögs\n"], ["a cat"], ["123456"], ["one", "two", "three"]]
CLEAN = [["a dog.", "two dögs"], ["a cat"], [], ["one", "two", "three"]]


def _cell(values, shape=None):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape or (-1, 1))


def _ragged(shape, inner=(-1, 1)):
    return _cell([_cell(texts, inner) for texts in CAPTIONS], shape)


def _write_v5(path, **variables):
    scipy.io.savemat(path, variables)


def _codes(text):
    return np.frombuffer(text.encode("utf-16-le"), dtype=np.uint16)


def _write_hdf5(path, matlab=True, **variables):
    """Write as MATLAB 7.3 does: axes reversed, strings as uint16, cells as references; or without its marks."""

    def mark(node, kind):
        if matlab:
            node.attrs["MATLAB_class"] = np.bytes_(kind)
        return node

    numbers = count()
    with h5py.File(path, "w", userblock_size=512 if matlab else 0) as file:

        def store(parent, name, value):
            if isinstance(value, str):
                if not value:
                    node = mark(parent.create_dataset(name, data=np.zeros(2, dtype=np.uint64)), "char")
                    node.attrs["MATLAB_empty"] = 1
                    return node
                return mark(parent.create_dataset(name, data=_codes(value).reshape(-1, 1)), "char")
            if isinstance(value, np.ndarray) and value.dtype == object:
                refs = np.empty(value.shape, dtype=h5py.ref_dtype)
                group = file.require_group("#refs#")
                for place in np.ndindex(value.shape):
                    refs[place] = store(group, f"r{next(numbers)}", value[place]).ref
                return mark(parent.create_dataset(name, data=refs.T if matlab else refs, dtype=h5py.ref_dtype), "cell")
            if isinstance(value, list):  # a char array, one row per string
                width = max(map(len, value))
                rows = np.stack([_codes(text.ljust(width)) for text in value])
                return mark(parent.create_dataset(name, data=rows.T), "char")
            if scipy.sparse.issparse(value):
                value = value.tocsc()
                group = mark(parent.create_group(name), "double")
                group.attrs["MATLAB_sparse"] = np.uint64(value.shape[0])
                group["jc"] = value.indptr.astype(np.uint64)
                if value.nnz:
                    group["ir"], group["data"] = value.indices.astype(np.uint64), value.data
                return group
            return mark(parent.create_dataset(name, data=value.T if matlab else value), str(value.dtype))

        for name, value in variables.items():
            store(file, name, value)


@pytest.fixture
def root(tmp_path):
    _write_v5(tmp_path / "index.mat", index=PATHS)
    _write_v5(tmp_path / "caption.mat", caption=_ragged((-1, 1)))
    _write_v5(tmp_path / "label.mat", category=LABELS)
    (tmp_path / "train2014").mkdir()
    for path, number in zip(PATHS, NUMBERS, strict=True):
        Image.new("RGB", (6, 5), (20 * number, 7, 0)).save(tmp_path / "train2014" / path.rpartition("/")[2], "PNG")
    return tmp_path


def _read(root):
    layout = DchmtTrio()
    assert layout.recognise(root, PROTOCOL)
    return layout.read(root, PROTOCOL)


def _check(root, clean=CLEAN):
    catalogue = _read(root)
    assert catalogue.ids == ("10", "2", "5", "1")
    assert catalogue.labels.tolist() == LABELS.tolist()
    assert [list(texts) for texts in catalogue.sentences] == clean
    store = PictureStore(root)
    for row, number in enumerate(NUMBERS):
        assert store.read(catalogue.paths[row])[:, 4, 5].tolist() == [20 * number, 7, 0]
    return catalogue


def _fails(root, *words):
    with pytest.raises(DataError) as caught:
        _read(root)
    for word in words:
        assert word in str(caught.value)


def test_v5(root):
    catalogue = _check(root)
    assert catalogue.class_names == ("sky", "animals", "baby")
    assert (catalogue.query, catalogue.database, catalogue.train, catalogue.tags) == (None,) * 4
    assert catalogue.facts["label_source"] == "label.mat, category"
    assert catalogue.facts["text_source"] == "caption.mat, caption"
    assert catalogue.facts["picture_source"] == "home/me/data/coco/train2014 is train2014 (4)"


@pytest.mark.parametrize(("matlab", "padded"), [(True, True), (True, False), (False, False)])
def test_hdf5_under_the_suffix_of_v5(root, matlab, padded):
    _write_hdf5(root / "index.mat", matlab, index=PATHS if padded else _cell(PATHS))
    _write_hdf5(root / "caption.mat", matlab, caption=_ragged((-1, 1)))
    _write_hdf5(root / "label.mat", matlab, category=LABELS)
    _check(root)


def test_hdf5_strings_of_another_program(root):
    (root / "index.mat").unlink()
    with h5py.File(root / "index.mat", "w") as file:
        file["index"] = PATHS
    _check(root)


@pytest.mark.parametrize("write", [_write_v5, _write_hdf5])
@pytest.mark.parametrize("outer", [(-1, 1), (1, -1)])
@pytest.mark.parametrize("inner", [(-1, 1), (1, -1)])
def test_ragged_captions(root, write, outer, inner):
    write(root / "caption.mat", caption=_ragged(outer, inner))
    _check(root)


@pytest.mark.parametrize("write", [_write_v5, _write_hdf5])
@pytest.mark.parametrize("shape", [(-1, 1), (1, -1), None])
def test_one_caption_each(root, write, shape):
    flat = ["red dog", "", "123456", "sea, sky"]  # None: a blank-padded char array
    write(root / "caption.mat", caption=flat if shape is None else _cell(flat, shape))
    _check(root, [["red dog"], [], [], ["sea, sky"]])


@pytest.mark.parametrize("transposed", [False, True])
def test_the_same_number_of_captions_for_all(root, transposed):
    table = np.array([[f"{kind} {number}" for kind in "ab"] for number in NUMBERS], dtype=object)
    _write_v5(root / "caption.mat", caption=table.T if transposed else table)
    _check(root, table.tolist())


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_caption_text_file_keeps_blank_lines(root, end):
    (root / "caption.mat").unlink()
    lines = ["sun\u2028set", "", "123456", "one\x85"]
    (root / "caption.txt").write_bytes("".join(line + end for line in lines).encode())
    assert _check(root, [["sun\u2028set"], [], [], ["one"]]).facts["text_source"] == "caption.txt"
    with (root / "caption.txt").open("a") as file:
        file.write("\n\n")  # beyond the items: no matter
    _check(root, [["sun\u2028set"], [], [], ["one"]])
    (root / "caption.txt").write_text("a\nb\nc\n")
    _fails(root, "caption.txt", "3 lines", "4 items")


@pytest.mark.parametrize("key", ["index", "FAll", "imgs"])
def test_names_of_paths(root, key):
    _write_v5(root / "index.mat", **{key: PATHS})
    _check(root)


@pytest.mark.parametrize("key", ["caption", "YAll", "tags"])
def test_names_of_captions(root, key):
    _write_v5(root / "caption.mat", **{key: _ragged((-1, 1))})
    _check(root)


@pytest.mark.parametrize("key", ["category", "label", "LAll", "labels"])
def test_names_of_labels(root, key):
    _write_v5(root / "label.mat", **{key: LABELS})
    _check(root)


@pytest.mark.parametrize("write", [_write_v5, _write_hdf5])
@pytest.mark.parametrize(
    "change", [np.uint8, np.int16, lambda labels: labels.astype(bool), scipy.sparse.csc_matrix, np.transpose]
)
def test_types_of_labels(root, write, change):
    write(root / "label.mat", category=change(LABELS))
    _check(root)


def test_sparse_without_a_single_label(tmp_path):
    _write_hdf5(tmp_path / "a.mat", category=scipy.sparse.csc_matrix((4, 3)))
    assert label_matrix(load_mat(tmp_path / "a.mat")["category"], (4, 3), "a").tolist() == [[0] * 3] * 4


@pytest.mark.parametrize("write", [_write_v5, _write_hdf5])
@pytest.mark.parametrize("padded", [True, False])
def test_one_item(tmp_path, write, padded):
    write(tmp_path / "index.mat", index=PATHS[2:3] if padded else _cell(PATHS[2:3]))
    write(tmp_path / "caption.mat", caption=_cell(["x", "y"], (1, 2)))
    write(tmp_path / "label.mat", category=LABELS[2:3])
    Image.new("RGB", (6, 5)).save(tmp_path / PATHS[2].rpartition("/")[2], "PNG")
    catalogue = _read(tmp_path)
    assert (catalogue.ids, catalogue.labels.tolist()) == (("5",), [[1, 0, 1]])
    assert list(catalogue.sentences) == [["x", "y"]]


@pytest.mark.parametrize("value", [2, -1, 0.5, np.nan])
def test_labels_other_than_0_and_1(root, value):
    labels = LABELS.copy()
    labels[2, 1] = value
    _write_v5(root / "label.mat", category=labels)
    _fails(root, "label.mat", "item 3", str(value))


@pytest.mark.parametrize("labels", [LABELS[:3], LABELS[:, :2], LABELS[0], _cell(PATHS), LABELS[None].repeat(2, 0)])
def test_labels_of_another_shape_or_type(root, labels):
    _write_v5(root / "label.mat", category=labels)
    _fails(root, "label.mat", "'category'", "expected")


def test_bag_of_words_instead_of_texts(root):
    _write_v5(root / "caption.mat", YAll=np.eye(4))
    _fails(root, "caption.mat", "'YAll'", "expected strings")


def test_captions_of_fewer_items(root):
    _write_v5(root / "caption.mat", caption=_cell(["a", "b", "c"]))
    _fails(root, "caption.mat", "expected 4 items")


def test_unknown_variable_lists_what_there_is(root):
    _write_v5(root / "index.mat", idx=PATHS)
    _fails(root, "index.mat", "index or FAll or imgs", "found idx")


def test_blank_path_keeps_its_row_number(root):
    _write_v5(root / "index.mat", index=_cell([PATHS[0], "", *PATHS[2:]]))
    _fails(root, "index.mat", "item 2", "no path")


def test_repeated_item(root):
    _write_v5(root / "index.mat", index=_cell([*PATHS[:3], PATHS[1]]))
    _fails(root, "index.mat, item 4", "item 2 again", "item 2")


def test_missing_picture_gets_its_place(root):
    name = PATHS[3].rpartition("/")[2]
    (root / "train2014" / name).unlink()
    catalogue = _read(root)
    assert catalogue.paths[3] == f"train2014/{name}"
    assert PictureStore(root).missing(catalogue.paths) == [3]


def test_no_picture_found(root):
    _write_v5(root / "index.mat", index=[path.replace("COCO", "NOT") for path in PATHS])
    catalogue = _read(root)
    assert PictureStore(root).missing(catalogue.paths) == [0, 1, 2, 3]
    assert "no listed picture" in catalogue.facts["picture_source"]


def test_struct_is_refused(root):
    for write in (_write_v5, lambda path, **_: _struct(path)):
        write(root / "label.mat", category={"a": np.ones(3)})
        _fails(root, "label.mat")


def _struct(path):
    with h5py.File(path, "w") as file:
        file.create_group("category")["a"] = np.ones(3)


def test_cell_that_contains_itself(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        cell = file.create_dataset("caption", (1,), dtype=h5py.ref_dtype)
        cell[0] = cell.ref
    with pytest.raises(DataError, match="deep"):
        load_mat(tmp_path / "a.mat")["caption"]


def test_files_are_needed_all_three(root):
    (root / "caption.mat").rename(root / "captions.mat")
    assert not DchmtTrio().recognise(root, PROTOCOL)
    assert not DchmtTrio().recognise(root / "nowhere", PROTOCOL)


def test_only_the_variable_asked_for_is_read(tmp_path):
    for write in (_write_v5, _write_hdf5):
        write(tmp_path / "a.mat", one=np.ones((2, 3)), two=_cell(["x"]))
        opened = load_mat(tmp_path / "a.mat")
        assert sorted(opened) == ["one", "two"]
        assert len(opened) == 2
        assert opened["one"].shape == (2, 3)
        assert strings(opened["two"], "a.mat") == ["x"]
        with pytest.raises(KeyError):
            opened["three"]


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
@pytest.mark.parametrize("write", [_write_v5, _write_hdf5])
def test_a_file_cut_short_is_a_data_error_or_whole(tmp_path_factory, write, share):
    path = tmp_path_factory.getbasetemp() / "short.mat"
    write(path, label=LABELS)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with suppress(DataError):  # nothing else may be raised
        opened = load_mat(path)
        assert label_matrix(opened[opened.first(["label"])], (4, 3), "label.mat").tolist() == LABELS.tolist()


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.lists(st.text("ab é1", min_size=1, max_size=4), min_size=1, max_size=3), min_size=1, max_size=5)
)
def test_string_lists_keeps_items_apart(texts):
    expected = [[text.strip() for text in item] for item in texts]
    for shape in ((-1, 1), (1, -1)):
        cell = _cell([np.array(item, dtype=str) for item in texts], shape)
        assert string_lists(cell, len(texts), "a") == expected
