"""FileFeatures: every kind of file that features circulate in, and errors that say what is wrong with it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from datamodules.source import DataError
from datamodules.text import FileFeatures

TRAIN = np.arange(12, dtype=np.float64).reshape(4, 3) / 8
TEST = -np.arange(6, dtype=np.float64).reshape(2, 3)
ALL = np.concatenate([TRAIN, TEST])
KEYS = ["T_tr", "T_te"]


@pytest.fixture
def source(texts):
    return texts([[]] * 6)


def _matlab5(path):
    scipy.io.savemat(path, {"I_tr": np.zeros((4, 7)), "T_tr": TRAIN, "T_te": TEST})


def _matlab5_sparse(path):
    scipy.io.savemat(path, {"T_tr": scipy.sparse.csc_matrix(TRAIN), "T_te": scipy.sparse.csc_matrix(TEST)})


def _hdf5(path):
    with h5py.File(path, "w") as file:
        file["T_te"], file["T_tr"] = TEST, TRAIN


def _matlab73(path):
    with h5py.File(path, "w") as file:
        for key, values in zip(KEYS, (TRAIN, TEST), strict=True):
            file.create_dataset(key, data=values.T).attrs["MATLAB_class"] = np.bytes_("double")


def _npy(path):
    with path.open("wb") as file:
        np.save(file, ALL)


@pytest.mark.parametrize("write", [_matlab5, _matlab5_sparse, _hdf5, _matlab73])
def test_keys_are_concatenated_in_their_order(source, tmp_path, write):
    path = tmp_path / "raw_features.mat"  # the suffix says nothing
    write(path)
    table = FileFeatures(str(path), KEYS).table(source, tmp_path)
    assert [table[row].tolist() for row in range(6)] == ALL.tolist()
    turned = FileFeatures(str(path), KEYS[::-1]).table(source, tmp_path)
    assert turned[0].tolist() == TEST[0].tolist()
    assert turned[5].tolist() == TRAIN[3].tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.int16, bool])
def test_npy(source, tmp_path, dtype):
    np.save(tmp_path / "f.npy", ALL.astype(dtype))
    found = FileFeatures(str(tmp_path / "f.npy")).encode(source)
    assert found.dtype == np.float32
    assert (found == ALL.astype(dtype)).all()


def test_the_only_array_needs_no_key(source, tmp_path):
    scipy.io.savemat(tmp_path / "f.mat", {"text": ALL})
    assert (FileFeatures(str(tmp_path / "f.mat")).encode(source) == ALL).all()


def test_a_changed_file_is_read_again(source, tmp_path):
    path = tmp_path / "f.npy"
    for values in (ALL, ALL[:, :2] + 1):
        np.save(path, values)
        assert FileFeatures(str(path)).table(source, tmp_path)[5].tolist() == values[5].tolist()


def _fails(path, source, message, keys=None):
    with pytest.raises(DataError) as caught:
        FileFeatures(str(path), keys).encode(source)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_both_numbers_of_rows_are_stated(source, tmp_path):
    _matlab5(tmp_path / "f.mat")
    _fails(tmp_path / "f.mat", source, "4 rows in {'T_tr': (4, 3)}, but texts.v2 has 6 items", ["T_tr"])


def test_wrong_keys(source, tmp_path):
    _matlab5(tmp_path / "f.mat")
    _hdf5(tmp_path / "f.h5")
    _fails(tmp_path / "f.mat", source, "holds I_tr, T_tr, T_te: say which with keys")
    _fails(tmp_path / "f.h5", source, "holds T_te, T_tr: say which with keys")
    _fails(tmp_path / "f.mat", source, "no array LAll; it holds I_tr, T_tr, T_te", ["T_tr", "LAll"])
    _fails(tmp_path / "f.mat", source, "different width: {'I_tr': (4, 7), 'T_te': (2, 3)}", ["I_tr", "T_te"])
    np.save(tmp_path / "f.npy", ALL)
    _fails(tmp_path / "f.npy", source, "a .npy file holds one array without a name", ["T_tr"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(6), "(6,), expected a matrix of numbers"),
        (np.zeros((6, 2, 2)), "(6, 2, 2), expected a matrix"),
        (np.array([["a"]] * 6), "expected a matrix of numbers"),
        (np.where(ALL == 1.0, np.nan, ALL), "not finite in row 2"),
    ],
)
def test_wrong_arrays(source, tmp_path, values, message):
    np.save(tmp_path / "f.npy", values)
    _fails(tmp_path / "f.npy", source, message)


def test_sparse_numbers_are_checked_too(source, tmp_path):
    values = scipy.sparse.csc_matrix(np.where(ALL == 1.0, np.inf, ALL))
    scipy.io.savemat(tmp_path / "f.mat", {"text": values})
    _fails(tmp_path / "f.mat", source, "not finite in row 2")


def test_pickled_objects_are_refused(source, tmp_path):
    np.save(tmp_path / "f.npy", np.array([[{}]] * 6), allow_pickle=True)
    _fails(tmp_path / "f.npy", source, "no NumPy, MATLAB or HDF5 file")


@pytest.mark.parametrize("write", [_matlab5, _hdf5, _npy])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.6])
def test_truncated_files_are_named(source, tmp_path, write, share):
    path = tmp_path / "f.mat"
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    keys = None if data.startswith(b"\x93NUMPY") else KEYS
    _fails(path, source, "", keys)


def test_a_missing_file_is_named(source, tmp_path):
    _fails(tmp_path / "none.mat", source, "cannot be read (No such file")
    with pytest.raises(DataError, match=r"none\.mat: cannot be read"):
        FileFeatures(str(tmp_path / "none.mat")).table(source, tmp_path)
