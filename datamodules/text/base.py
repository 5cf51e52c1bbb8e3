"""TextFeatures: captions and tags of a data set to one vector per item."""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from datamodules.source import DataError, ItemSource
from lightning_modules.configurable import Configurable

Matrix: TypeAlias = Any  # np.ndarray or scipy.sparse.csr_matrix; SciPy is untyped


class TextFeatures(Configurable):
    """Makes text features; a subclass is one kind of them, its options are in ``spec``."""

    @abstractmethod
    def encode(self, source: ItemSource) -> Matrix:
        """Return float32 ``(n, d)`` features of all rows of a source, dense or sparse; no text gives zeros.

        Raises:
            DataError: the source has no such text.
        """

    @property
    @abstractmethod
    def title(self) -> str:
        """Which features these are, for a report: kind, model, revision."""

    def depends_on(self, source: ItemSource) -> tuple[str, ...]:
        """Return what features depend on beside options, ids and texts: a file, the rows that they are fitted on."""
        del source
        return ()

    def table(self, source: ItemSource, cache_dir: Path) -> TextTable:
        """Return the features of a source, from the cache where they are known.

        The cache key holds the options, ids and texts of all rows in row order and :meth:`depends_on`, but no
        splits: a costly encoder runs once for all of them.

        Args:
            source: the data set.
            cache_dir: folder for features.

        Raises:
            DataError: no such text, not one row of features per item, or an unwritable folder.
        """
        facts = [self.spec, rows_digest(source), *self.depends_on(source)]
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        stem = cache_dir / "text" / f"{source.name}-{key}"
        if _load(stem) is None:
            found = self.encode(source)
            if found.shape[0] != len(source.ids):
                raise DataError(f"{self.title}: {found.shape[0]} rows of features for {len(source.ids)} items")
            _save(found, stem)
            if zero := TextTable(found).zero_rows:
                rank_zero_info(f"{self.title}: {zero} of {len(source.ids)} items have no feature, they stay zero")
        return TextTable(_load(stem))


class TextTable:
    """Text features by row; memory-mapped, or sparse and shared by workers.

    Args:
        matrix: float32 ``(n, d)``.
    """

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix

    @property
    def width(self) -> int:
        """``d``."""
        return int(self._matrix.shape[1])

    @property
    def zero_rows(self) -> int:
        """Number of items whose features are all zero; a cosine with them is undefined."""
        if scipy.sparse.issparse(self._matrix):
            return int((np.asarray(abs(self._matrix).sum(axis=1)) == 0).sum())
        return int((~self._matrix.any(axis=1)).sum())

    def __getitem__(self, row: int) -> Tensor:
        """Return the features of one row, float32 ``(d,)``."""
        values = self._matrix[row]
        if scipy.sparse.issparse(values):
            values = values.toarray()[0]
        return torch.from_numpy(np.array(values, dtype=np.float32))


def texts_of(source: ItemSource, title: str) -> list[str]:
    """Return one text per row: its captions (or else tags) joined by single blanks, '' where there is none.

    Raises:
        DataError: no row has a text; the message says that ``title`` needs one.
    """
    texts = [" ".join((source.caption(row) or "").split()) for row in range(len(source.ids))]
    if not any(texts):
        raise DataError(f"{source.name} has neither captions nor tags, which the {title} needs")
    return texts


def rows_digest(source: ItemSource) -> str:
    """Hash ids and texts of all rows, in row order: features are looked up by row."""
    digest = hashlib.sha256()
    for row, sample_id in enumerate(source.ids):
        text = [sample_id, source.sentences(row), source.tags(row), source.caption(row)]
        digest.update(json.dumps(text).encode() + b"\n")
    return digest.hexdigest()


def pool_digest(source: ItemSource) -> str:
    """Hash which rows are in the database pool, for features that are fitted on them."""
    return hashlib.sha256(np.sort(source.database_pool).tobytes()).hexdigest()


def _load(stem: Path) -> Matrix:
    dense, sparse = (stem.with_name(stem.name + suffix) for suffix in (".npy", ".npz"))
    try:
        if dense.exists():
            return np.load(dense, mmap_mode="r", allow_pickle=False)
        if sparse.exists():
            with sparse.open("rb") as file:  # closed even if it is damaged
                return scipy.sparse.load_npz(file).tocsr()
    except Exception as error:  # zip, zlib and NumPy each have their own errors for a damaged file
        raise DataError(f"{stem}.*: cached text features cannot be read ({error}); delete them") from error
    return None


def _save(matrix: Matrix, stem: Path) -> None:
    sparse = scipy.sparse.issparse(matrix)
    suffix = ".npz" if sparse else ".npy"
    final = stem.with_name(stem.name + suffix)
    partial = stem.with_name(f"{stem.name}.{os.getpid()}.partial{suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if sparse:
            scipy.sparse.save_npz(partial, matrix.tocsr().astype(np.float32))
        else:
            np.save(partial, np.asarray(matrix, dtype=np.float32))
        os.replace(partial, final)
    except OSError as error:
        raise DataError(f"{final}: text features cannot be written ({error.strerror or error})") from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
