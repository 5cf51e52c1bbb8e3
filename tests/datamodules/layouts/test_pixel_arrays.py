"""Pixel arrays as a layout: refuse unconverted files, labels and names of every kind, no shifted row."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from datamodules.convert import convert
from datamodules.layouts.item_arrays import Variable, read_matrix, variables
from datamodules.layouts.pixel_arrays import PixelArrays
from datamodules.protocol import Protocol, last_number
from datamodules.source import DataError
from datamodules.splits import SplitSizes
from datamodules.stores import PictureStore

N, C, D, H, W = 7, 4, 9, 5, 6
NAMES = [f"im{number}.jpg" for number in (1, 2, 10, 100, 17, 204, 3)]
PIXELS = np.random.default_rng(1).integers(0, 256, (N, 3, H, W), dtype=np.uint8)
LABELS = (np.arange(N * C).reshape(N, C) * 7 % 5 < 2).astype(np.uint8)
TAGS = np.random.default_rng(2).integers(0, 2, (N, D)).astype(np.uint8)


def protocol(classes=C, **options):
    names = tuple(f"class{number}" for number in range(classes))
    return Protocol("cross", names, names[::-1], SplitSizes(), N, "a test", item_id=last_number, **options)


def cells(names):
    column = np.empty((len(names), 1), dtype=object)
    column[:, 0] = names
    return column


def write_cell_array(file, key, names):
    """As MATLAB 7.3: a row of references to arrays of UTF-16 units."""
    references = [file.create_dataset(f"#refs#/{n}", data=_units(name)[:, None]).ref for n, name in enumerate(names)]
    file.create_dataset(key, data=np.array(references, dtype=h5py.ref_dtype)[None])


def _units(name):
    return np.frombuffer(name.encode("utf-16-le"), dtype=np.uint16)


def cleared_set(root):
    """DCMH's four files: pixels as MATLAB 7.3 with its axes in reverse, the others as MATLAB 5."""
    with h5py.File(root / "mirflickr25k-iall.mat", "w", userblock_size=512) as file:
        file["IAll"] = PIXELS.transpose(0, 1, 3, 2)
    scipy.io.savemat(root / "mirflickr25k-yall.mat", {"YAll": TAGS.astype(float)})
    scipy.io.savemat(root / "mirflickr25k-lall.mat", {"LAll": LABELS.astype(float)})
    scipy.io.savemat(root / "mirflickr25k-fall.mat", {"FAll": cells(NAMES)})
    (root / "readme.txt").write_text("four files")
    return root / "mirflickr25k-iall.mat"


def ta_dch(root):
    path = root / "flickr.h5"
    with h5py.File(path, "w") as file:
        file["IAll"], file["TAll"], file["LAll"] = PIXELS.transpose(2, 3, 1, 0), TAGS.astype("float32"), LABELS
    return path


def one_file(root, **more):
    path = root / "data"
    scipy.io.savemat(path, {"images": PIXELS, "label": LABELS, **more}, appendmat=False)
    return path


def converted(path, transpose=False):
    convert(path, path.with_suffix(".npy"), progress=False, transpose=transpose)
    return PixelArrays().read(path.parent, protocol())


def check_rows(root, catalogue):
    store = PictureStore(root)
    assert store.missing(catalogue.paths) == []
    for row, path in enumerate(catalogue.paths):
        assert np.array_equal(store.read(path).numpy(), PIXELS[row])
    assert np.array_equal(catalogue.labels, LABELS)


def test_cleared_set(tmp_path):
    path = cleared_set(tmp_path)
    assert PixelArrays().recognise(tmp_path, protocol())
    catalogue = converted(path, transpose=True)
    check_rows(tmp_path, catalogue)
    assert catalogue.ids == ("1", "2", "10", "100", "17", "204", "3")
    assert catalogue.paths[3] == "mirflickr25k-iall.npy#3"
    assert catalogue.class_names == ("class3", "class2", "class1", "class0")
    assert catalogue.facts["features"] == "mirflickr25k-yall.mat#YAll"
    assert catalogue.facts["label_source"] == "mirflickr25k-lall.mat:LAll"
    assert "axes NCWH, H and W by option" in catalogue.facts["pixels"]


def test_ta_dch_has_numbered_items_and_no_published_split(tmp_path):
    catalogue = converted(ta_dch(tmp_path))
    check_rows(tmp_path, catalogue)
    assert catalogue.ids[0] == "row-0000000"
    assert catalogue.ids[6] == "row-0000006"
    assert catalogue.query is catalogue.database is catalogue.train is None
    assert catalogue.facts["features"] == "flickr.h5#TAll"
    assert "no splits" in catalogue.facts["notes"]


def test_items_last_are_refused_with_the_command(tmp_path):
    folder = tmp_path / "my data"
    folder.mkdir()
    path = ta_dch(folder)
    with pytest.raises(DataError, match="item-last") as caught:
        PixelArrays().read(folder, protocol())
    assert str(caught.value).endswith(f"python -m datamodules convert '{path}'")


def test_items_first_are_refused_with_the_command(tmp_path):
    path = one_file(tmp_path)
    with pytest.raises(DataError, match=f"not converted. Convert them once: python -m datamodules convert {path}$"):
        PixelArrays().read(tmp_path, protocol())


@pytest.mark.parametrize("kind", ["cell73", "char73", "cell5", "char5", "strings"])
def test_names_of_every_kind(tmp_path, kind):
    path = tmp_path / "data.mat"
    if kind.endswith("5"):
        names = cells(NAMES) if kind == "cell5" else np.array(NAMES)
        scipy.io.savemat(path, {"IAll": PIXELS, "LAll": LABELS, "FAll": names})
    else:
        with h5py.File(path, "w") as file:
            file["IAll"], file["LAll"] = PIXELS, LABELS.T
            if kind == "cell73":
                write_cell_array(file, "FAll", NAMES)
            elif kind == "char73":
                padded = np.stack([_units(name.ljust(11)) for name in NAMES])
                file["FAll"] = padded.T
            else:
                file["FAll"] = NAMES
    assert converted(path).ids == ("1", "2", "10", "100", "17", "204", "3")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (cells([*NAMES[:3], "", *NAMES[4:]]), "item 3 has no name"),
        (cells([*NAMES[:3], 5.0, *NAMES[4:]]), "item 3 has no name"),
        (cells([*NAMES[:6], NAMES[0]]), "1 repeated ids: 1"),
        (np.arange(N * 2.0).reshape(N, 2), "no text, expected 7 names"),
        (np.array([cells(NAMES), cells(NAMES)])[..., 0].T, "14 names, expected 7"),
    ],
)
def test_names_that_would_shift_rows_are_errors(tmp_path, names, message):
    path = one_file(tmp_path, FAll=names)
    with pytest.raises(DataError, match=message):
        converted(path)


def test_two_items_of_one_photograph(tmp_path):
    path = one_file(tmp_path, FAll=cells([*NAMES[:6], NAMES[0]]))
    convert(path, path.with_suffix(".npy"), progress=False, transpose=False)
    catalogue = PixelArrays().read(tmp_path, protocol(key=lambda item_id: item_id.partition("#")[0]))
    assert (catalogue.ids[0], catalogue.ids[6]) == ("1", "1#6")
    assert (catalogue.keys[0], catalogue.keys[6]) == ("1", "1")


def test_another_number_of_classes_is_an_error(tmp_path):
    path = one_file(tmp_path)
    convert(path, path.with_suffix(".npy"), progress=False, transpose=False)
    with pytest.raises(DataError, match=r"data:label \(7, 4\): 4 classes, the protocol 'cross' has 8"):
        PixelArrays().read(tmp_path, protocol(8))


def test_pixels_of_other_labels_are_an_error(tmp_path):
    path = ta_dch(tmp_path)
    converted(path)
    with h5py.File(path, "r+") as file:
        file["LAll"][...] = LABELS[::-1]
    with pytest.raises(DataError, match=r"converted from other data \(labels: .*python -m datamodules convert"):
        PixelArrays().read(tmp_path, protocol())


def test_sparse_labels_of_both_formats(tmp_path):
    sparse = scipy.sparse.csc_matrix(LABELS.astype(float))
    with h5py.File(tmp_path / "new.mat", "w") as file:  # as MATLAB 7.3
        group = file.create_group("LAll")
        group.attrs["MATLAB_sparse"] = N
        group["data"], group["ir"], group["jc"] = sparse.data, sparse.indices, sparse.indptr
    scipy.io.savemat(tmp_path / "old.mat", {"LAll": sparse})
    for name in ("new.mat", "old.mat"):
        (variable,) = variables(tmp_path / name)
        assert variable.shape == (N, C)
        assert np.array_equal(read_matrix(variable, N), LABELS)


def test_a_damaged_sparse_matrix_is_an_error(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        group = file.create_group("LAll")
        group.attrs["MATLAB_sparse"] = N
        group["data"], group["ir"], group["jc"] = [1.0], [99], np.array([0, 1, 1, 1, 1])
    with pytest.raises(DataError, match="damaged"):
        read_matrix(Variable(tmp_path / "a.mat", "LAll", (N, C)), N)


def test_features_are_item_major_whatever_the_order(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"YAll": TAGS.T})
    assert np.array_equal(read_matrix(variables(tmp_path / "a.mat")[0], N), TAGS)


def test_features_without_pixels_are_not_this_layout(tmp_path):
    scipy.io.savemat(tmp_path / "FLICKR-25K.mat", {"images": np.zeros((N, 4096)), "YAll": TAGS, "LAll": LABELS})
    assert not PixelArrays().recognise(tmp_path, protocol())


def test_other_folders_are_not_this_layout(tmp_path):
    assert not PixelArrays().recognise(tmp_path, protocol())
    (tmp_path / "broken.mat").write_bytes(b"\x89HDF\r\n\x1a\n broken")
    (tmp_path / "folder.mat").mkdir()
    assert not PixelArrays().recognise(tmp_path, protocol())
    with pytest.raises(DataError):
        PixelArrays().read(tmp_path, protocol())


def test_two_data_sets_in_one_folder_are_told_apart_by_their_classes(tmp_path):
    path = ta_dch(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["IAll"], file["LAll"] = PIXELS, np.ones((N, 8))
    check_rows(tmp_path, converted(path))
    with h5py.File(tmp_path / "third.h5", "w") as file:
        file["IAll"], file["LAll"] = PIXELS, LABELS
    with pytest.raises(DataError, match=r"several files with pixels, keep one: flickr.h5.*third.h5"):
        PixelArrays().read(tmp_path, protocol())


def test_two_label_files_that_fit_are_an_error(tmp_path):
    path = cleared_set(tmp_path)
    scipy.io.savemat(tmp_path / "again.mat", {"labels": LABELS})
    with pytest.raises(DataError, match=r"several arrays could belong to it.*again.mat:labels"):
        convert(path, path.with_suffix(".npy"), progress=False, transpose=True)
