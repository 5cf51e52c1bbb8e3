"""Arrays with one axis of items in MATLAB and HDF5 files: which a file holds, read without trust in an order of axes.

MATLAB stores the first axis fastest, HDF5 the last: h5py shows the axes of a MATLAB 7.3 array in reverse. So the
items are counted along the axis that pixels, labels and text have in common. Pixels stay on disk until they are asked
for. Variables whose meaning is known, cells of strings among them, are read by :mod:`datamodules.layouts.matlab`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from datamodules.source import DataError

# DCMH (Jiang & Li, CVPR 2017): IAll, YAll, LAll, FAll; TA-DCH (Wang et al., 2023): TAll; others: plain words.
PIXELS = ("iall", "images", "image")
LABELS = ("lall", "labels", "label")
TEXT = ("yall", "tall", "text", "tags")
NAMES = ("fall",)

MAT5_MARKS = (b"\x00\x01IM", b"\x01\x00MI")  # version and byte order, bytes 124 to 127 of the header
PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
TEXTS = (".csv", ".eng", ".json", ".list", ".md", ".txt", ".xml")
OTHERS = (".gz", ".npy", ".npz", ".parquet", ".partial", ".rar", ".tar", ".zip")
NEVER_ARRAYS = frozenset((*PICTURES, *TEXTS, *OTHERS))  # a folder may hold 25,000 of them


@dataclass(frozen=True)
class Variable:
    """One array of a file.

    Attributes:
        file: the file.
        key: its name there.
        shape: its axes, in the order that NumPy sees them.
    """

    file: Path
    key: str
    shape: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes that the axis of items may have; a vector may be the one row of a single item."""
        return (*self.shape, 1) if len(self.shape) == 1 else self.shape

    def __str__(self) -> str:
        return f"{self.file.name}:{self.key} {self.shape}"


def is_array_file(path: Path) -> bool:
    """Tell from its content whether a file is HDF5 (MATLAB 7.3 is) or MATLAB 5 to 7; never raises."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as handle:
            head = handle.read(128)
        return head[124:] in MAT5_MARKS or bool(h5py.is_hdf5(path))
    except OSError:
        return False


def array_files(folder: Path) -> list[Path]:
    """Return the MATLAB and HDF5 files of a folder, sorted; pictures and texts are not even opened."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() not in NEVER_ARRAYS)
    return [path for path in files if is_array_file(path)]


def variables(file: Path) -> tuple[Variable, ...]:
    """Return the arrays of a file without reading them.

    Raises:
        DataError: the file is damaged.
    """
    try:
        if not h5py.is_hdf5(file):
            return tuple(Variable(file, name, tuple(shape)) for name, shape, _ in scipy.io.whosmat(file))
        with h5py.File(file, "r") as handle:
            shapes = {key: _shape(handle.get(key)) for key in handle}
        return tuple(Variable(file, key, shape) for key, shape in shapes.items() if shape is not None)
    except Exception as error:  # the parsers raise whatever a damaged file makes them meet
        raise DataError(f"{file}: damaged MATLAB or HDF5 file ({type(error).__name__}: {error})") from error


def _shape(stored: Any) -> tuple[int, ...] | None:
    if isinstance(stored, h5py.Group):
        if "MATLAB_sparse" not in stored.attrs:
            return None
        return int(stored.attrs["MATLAB_sparse"]), len(stored["jc"]) - 1
    return None if stored is None or getattr(stored, "shape", None) is None else tuple(stored.shape)


def find(found: Sequence[Variable], aliases: Sequence[str]) -> Variable | None:
    """Return the variable with the first of some names, whatever their case."""
    for alias in aliases:
        for variable in found:
            if variable.key.lower() == alias:
                return variable
    return None


@contextmanager
def opened(variable: Variable) -> Iterator[Any]:
    """Open one array: an h5py data set that reads only what is asked of it, or the array of a MATLAB 5 file.

    Raises:
        DataError: the file is damaged.
    """
    if not h5py.is_hdf5(variable.file):
        try:
            value = scipy.io.loadmat(variable.file, variable_names=[variable.key])[variable.key]
        except Exception as error:  # as in variables()
            raise DataError(f"{variable}: cannot be read ({type(error).__name__}: {error})") from error
        yield value
        return
    try:
        with h5py.File(variable.file, "r") as handle:
            yield handle[variable.key]
    except DataError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{variable}: cannot be read ({type(error).__name__}: {error})") from error


def read_matrix(variable: Variable, items: int) -> np.ndarray:
    """Read labels or features, dense or sparse, as ``(items, d)`` of the type stored.

    Raises:
        DataError: no axis, or each of two axes, has ``items`` entries; the array holds no numbers.
    """
    with opened(variable) as stored:
        values = _dense(stored, variable)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{variable}: holds {values.dtype}, expected numbers")
    if values.ndim == 1 and items == 1:
        values = values[None]
    matching = [axis for axis, size in enumerate(values.shape) if size == items]
    if values.ndim != 2 or not matching or (len(matching) == 2 and items > 1):
        raise DataError(f"{variable}: expected a matrix with one axis of {items} items")
    return values if matching[0] == 0 else np.ascontiguousarray(values.T)


def _dense(stored: Any, variable: Variable) -> np.ndarray:
    try:
        if isinstance(stored, h5py.Group):
            parts = tuple(stored[name][()] for name in ("data", "ir", "jc"))
            stored = scipy.sparse.csc_matrix(parts, shape=variable.shape)
        if not scipy.sparse.issparse(stored):
            return np.asarray(stored[()])
        stored = stored.tocsc()
        stored.check_format(full_check=True)  # or a damaged index would write outside the dense array
        return stored.toarray()
    except (ValueError, IndexError, KeyError) as error:
        raise DataError(f"{variable}: damaged sparse matrix ({error})") from error


def read_labels(variable: Variable, items: int) -> np.ndarray:
    """Read multi-hot labels of any numeric type, dense or sparse, as uint8 ``(items, C)``.

    Raises:
        DataError: as :func:`read_matrix`, or for a value other than 0 and 1, naming its item.
    """
    values = read_matrix(variable, items)
    wrong = ~((values == 0) | (values == 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(f"{variable}: item {row}, class {column} is {values[row, column]}, expected 0 or 1")
    return values.astype(np.uint8)


def read_names(variable: Variable, items: int) -> tuple[str, ...]:
    """Read a cell array or a blank-padded character array of ``items`` file names.

    Raises:
        DataError: another number of names, an empty one (naming its item), or something else than text.
    """
    with opened(variable) as stored:
        values = _cells(stored, items)
    if values is None or len(values) != items:
        count = "no text" if values is None else f"{len(values)} names"
        raise DataError(f"{variable}: {count}, expected {items} names")
    for row, name in enumerate(values):
        if not name:
            raise DataError(f"{variable}: item {row} has no name")
    return tuple(values)


def _cells(stored: Any, items: int) -> list[str] | None:
    if isinstance(stored, h5py.Group):
        return None
    if isinstance(stored, h5py.Dataset) and h5py.check_ref_dtype(stored.dtype) is not None:
        return [_text(stored.file[reference] if reference else "") for reference in stored[()].flat]
    values = np.asarray(stored[()])
    if values.dtype.kind in "iu":  # characters of a MATLAB 7.3 array: one axis of items, one of places
        axes = [axis for axis, size in enumerate(values.shape) if size == items]
        if values.ndim != 2 or len(axes) != 1:
            return None
        return [_text(row) for row in np.moveaxis(values, axes[0], 0)]
    return [_text(value) for value in values.flat] if values.dtype.kind in "OSU" else None


def _text(value: Any) -> str:
    """Return one name: text, bytes, UTF-16 code units, or any of them wrapped in arrays of one element."""
    if isinstance(value, h5py.Dataset):
        value = np.empty(0) if "MATLAB_empty" in value.attrs else value[()]
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
        value = value.astype("<u2").tobytes().decode("utf-16-le", "replace")
    while isinstance(value, np.ndarray):
        value = value.flat[0] if value.size == 1 else ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.strip("\0 \t\r\n") if isinstance(value, str) else ""
