"""Variables of a MATLAB file by name, as MATLAB has them: strings, cells, sparse matrices, its order of axes.

v5 is read through SciPy, v7.3 and plain HDF5 through h5py, told apart by content, never by suffix. A variable is read
in whole; large arrays of pixels are the business of :mod:`datamodules.layouts.item_arrays`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from datamodules.source import DataError

DEPTH = 4  # cells in cells; deeper ones refer to themselves


class MatFile(Mapping[str, Any]):
    """The variables of one file, each read, in whole, when it is asked for.

    Numbers are arrays in MATLAB's order of axes, sparse matrices SciPy's, char arrays arrays of strings (one per
    row, padding kept), cells object arrays. Data sets that MATLAB did not write keep the axes that they have.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read; on access, a variable cannot.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _readable(str(path)):
            self._names = self._list()

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        with _readable(f"{self.path}, variable {name!r}"):
            return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def first(self, names: Sequence[str]) -> str:
        """Return the first of several names that the file has.

        Raises:
            DataError: it has none; the message lists what it has.
        """
        for name in names:
            if name in self._names:
                return name
        raise DataError(f"{self.path}: no variable {' or '.join(names)}, found {', '.join(self._names) or 'nothing'}")

    @abstractmethod
    def _list(self) -> tuple[str, ...]: ...

    @abstractmethod
    def _read(self, name: str) -> Any: ...


class _Matlab5(MatFile):
    def _list(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in scipy.io.whosmat(self.path, appendmat=False))

    def _read(self, name: str) -> Any:
        return scipy.io.loadmat(self.path, variable_names=[name], appendmat=False)[name]


class _Hdf5(MatFile):
    def _list(self) -> tuple[str, ...]:
        with h5py.File(self.path, "r") as file:
            return tuple(name for name in file if not name.startswith("#"))  # '#refs#' holds what cells refer to

    def _read(self, name: str) -> Any:
        with h5py.File(self.path, "r") as file:
            return _value(file, file[name])


def load_mat(path: Path) -> MatFile:
    """Open a MATLAB file of any version, or an HDF5 file of another program.

    A file cut short is an error; a v5 file with other damage inside can crash SciPy's reader, process and all.

    Raises:
        DataError: it is neither.
    """
    return _Hdf5(path) if h5py.is_hdf5(path) else _Matlab5(path)


def strings(value: Any, where: str) -> list[str]:
    """Return all strings of a char array or cell, in order, without padding; an empty one keeps its place.

    Args:
        value: what :func:`load_mat` gave.
        where: file and variable, for the message.

    Raises:
        DataError: there are numbers instead.
    """
    return _leaves(value, where, 0)


def string_lists(value: Any, count: int, where: str) -> list[list[str]]:
    """Return the strings of each of ``count`` items, however they are nested.

    An item may be a string or a cell of strings; the cell of items may be a row, a column, or have an item per
    row (or, written transposed, per column). A single item may be all of it.

    Args:
        value: what :func:`load_mat` gave.
        count: number of items, known from another variable.
        where: file and variable, for the message.

    Raises:
        DataError: there are numbers instead, or another number of items.
    """
    array = np.asarray(value)
    if array.size == count:
        items = array.ravel()
    elif count == 1:
        items = np.empty(1, dtype=object)
        items[0] = array
    elif array.ndim > 1 and array.shape[0] == count:
        items = array
    elif array.ndim == 2 and array.shape[1] == count:
        items = array.T
    else:
        raise DataError(f"{where}: shape {array.shape}, expected {count} items")
    return [_leaves(item, f"{where}, item {row + 1}", 0) for row, item in enumerate(items)]


def _leaves(value: Any, where: str, depth: int) -> list[str]:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return [value.replace("\0", " ").strip()]
    array = np.asarray(value)
    if array.size == 0:
        return [""]
    if array.dtype.kind not in "USO" or depth > DEPTH:
        raise DataError(f"{where}: {array.dtype} values of shape {array.shape}, expected strings")
    return [leaf for item in array.ravel().tolist() for leaf in _leaves(item, where, depth + 1)]


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # both libraries let errors of every type through for damaged files
        raise DataError(f"{where}: not readable as MATLAB or HDF5 ({type(error).__name__}: {error})") from error


def _value(file: h5py.File, node: Any, depth: int = 0) -> Any:
    if isinstance(node, h5py.Group):
        return _sparse(node)
    made_by = node.attrs.get("MATLAB_class", b"")
    kind = made_by.decode() if isinstance(made_by, bytes) else str(made_by)
    if node.attrs.get("MATLAB_empty", 0):  # its content are the sizes
        return np.empty(0, dtype=object)
    if h5py.check_string_dtype(node.dtype) is not None:
        return np.asarray(node.asstr(errors="replace")[()], dtype=object)
    stored = node[()]
    if h5py.check_ref_dtype(node.dtype) is not None:
        return _cell(file, stored, depth)
    if kind == "char" or (depth and not kind and stored.dtype == np.uint16):
        return _characters(stored)
    return np.asarray(stored).T if kind else np.asarray(stored)


def _cell(file: h5py.File, references: Any, depth: int) -> np.ndarray:
    if depth > DEPTH:
        raise DataError(f"{file.filename}: cells nested more than {DEPTH} deep")
    array = np.asarray(references, dtype=object)
    values = np.empty(array.shape, dtype=object)
    for place in np.ndindex(array.shape):
        values[place] = _value(file, file[array[place]], depth + 1) if array[place] else ""
    return values.T


def _characters(codes: np.ndarray) -> np.ndarray:
    """Return the strings of a char array, one per row of MATLAB's; a vector is one string either way up."""
    rows = codes.reshape(1, -1) if codes.size == max(codes.shape, default=1) else codes.T
    flat = np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]), dtype="<u2")
    texts = np.empty(len(flat), dtype=object)
    texts[:] = [row.tobytes().decode("utf-16-le", "replace") for row in flat]
    return texts.reshape(rows.shape[:-1])


def _sparse(group: h5py.Group) -> Any:
    if "jc" not in group or "MATLAB_sparse" not in group.attrs:
        raise DataError(f"{group.file.filename}, variable {group.name}: a struct, expected an array or a cell")
    columns = group["jc"][()]
    empty = np.empty(0, dtype=np.int64)
    values, rows = (group[part][()] if part in group else empty for part in ("data", "ir"))
    shape = (int(group.attrs["MATLAB_sparse"]), len(columns) - 1)
    return scipy.sparse.csc_matrix((values, rows, columns), shape=shape)
