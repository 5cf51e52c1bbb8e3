"""FileFeatures: text features that somebody else computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from datamodules.source import DataError, ItemSource
from datamodules.text.base import Matrix, TextFeatures

NPY_START = b"\x93NUMPY"


class FileFeatures(TextFeatures):
    """Features from a NumPy, MATLAB or HDF5 file, one row per item in the row order of the data set.

    ``FileFeatures("raw_features.mat", ["T_tr", "T_te"])`` gives the 10-d topics of the Wikipedia articles (Pereira
    et al., "On the Role of Correlation and Abstraction in Cross-Modal Multimedia Retrieval", 2014). The number of
    rows is checked; that they are in the right order, no file can tell.

    Args:
        path: ``.npy``, MATLAB (v5 or v7.3) or HDF5; recognised by content.
        keys: arrays of a MATLAB or HDF5 file, concatenated in this order; None takes its only one.
    """

    def __init__(self, path: str, keys: list[str] | None = None) -> None:
        self.path, self.keys = Path(path), keys

    @property
    def title(self) -> str:
        """File and arrays."""
        return f"features of {self.path.name}" + (f" ({', '.join(self.keys)})" if self.keys else "")

    def depends_on(self, source: ItemSource) -> tuple[str, ...]:
        """Name the state of the file."""
        del source
        with _readable(self.path):
            state = self.path.stat()
        return (str(self.path.resolve()), str(state.st_size), str(state.st_mtime_ns))

    def encode(self, source: ItemSource) -> Matrix:
        """Return float32 ``(n, d)``; see :meth:`TextFeatures.encode`.

        Raises:
            DataError: an unreadable file, an unknown key, no matrix of finite numbers, or not one row per item.
        """
        parts = self._read()
        shapes = {name: tuple(part.shape) for name, part in parts}
        if len({shape[1] for shape in shapes.values()}) > 1:
            raise DataError(f"{self.path}: arrays of different width: {shapes}")
        rows = sum(shape[0] for shape in shapes.values())
        if rows != len(source.ids):
            raise DataError(f"{self.path}: {rows} rows in {shapes}, but {source.name} has {len(source.ids)} items")
        if any(scipy.sparse.issparse(part) for _, part in parts):
            return scipy.sparse.vstack([part for _, part in parts], format="csr")
        return np.concatenate([part for _, part in parts])

    def _read(self) -> list[tuple[str, Matrix]]:
        with _readable(self.path):
            with self.path.open("rb") as file:
                start = file.read(len(NPY_START))
            if start == NPY_START:
                if self.keys:
                    raise DataError(f"{self.path}: keys={self.keys}, but a .npy file holds one array without a name")
                return [("array", self._checked("the array", np.load(self.path, allow_pickle=False)))]
            read = _read_hdf5 if h5py.is_hdf5(self.path) else _read_matlab
            return [(key, self._checked(repr(key), value)) for key, value in read(self.path, self.keys)]

    def _checked(self, name: str, values: Any) -> Matrix:
        sparse = scipy.sparse.issparse(values)
        values = values if sparse else np.asarray(values)
        if values.ndim != 2 or values.dtype.kind not in "biuf":
            raise DataError(f"{self.path}: {name} is {values.dtype} {values.shape}, expected a matrix of numbers")
        values = values.tocsr().astype(np.float32) if sparse else values.astype(np.float32)
        finite = np.isfinite(values.data if sparse else values)
        if not finite.all():
            bad = np.flatnonzero(~finite)[0] if sparse else int((~finite).any(axis=1).argmax())
            row = int(np.searchsorted(values.indptr, bad, side="right")) - 1 if sparse else bad
            raise DataError(f"{self.path}: {name} holds a number that is not finite in row {row}")
        return values


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # SciPy, zlib and h5py each have their own errors for a damaged file
        raise DataError(f"{path}: no NumPy, MATLAB or HDF5 file that can be read ({error})") from error


def _read_matlab(path: Path, keys: Sequence[str] | None) -> Iterator[tuple[str, Any]]:
    chosen = _choose(path, keys, [name for name, _, _ in scipy.io.whosmat(path)])
    found = scipy.io.loadmat(path, variable_names=chosen)
    yield from ((key, found[key]) for key in chosen)


def _read_hdf5(path: Path, keys: Sequence[str] | None) -> Iterator[tuple[str, Any]]:
    with h5py.File(path, "r") as file:
        for key in _choose(path, keys, [name for name, held in file.items() if isinstance(held, h5py.Dataset)]):
            # MATLAB stores columns first, and marks what it stores.
            yield key, file[key][()].T if "MATLAB_class" in file[key].attrs else file[key][()]


def _choose(path: Path, keys: Sequence[str] | None, held: Sequence[str]) -> list[str]:
    if keys is None and len(held) == 1:
        return list(held)
    if not keys:
        raise DataError(f"{path} holds {', '.join(held) or 'no array'}: say which with keys")
    if unknown := [key for key in keys if key not in held]:
        raise DataError(f"{path}: no array {', '.join(unknown)}; it holds {', '.join(held) or 'none'}")
    return list(keys)
