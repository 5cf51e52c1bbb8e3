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
from torch import Tensor

from datamodules.source import DataError, ItemSource
from lightning_modules.configurable import Configurable

Matrix: TypeAlias = Any  # np.ndarray or scipy.sparse.csr_matrix; SciPy is untyped


class TextFeatures(Configurable):
    """Makes text features; a subclass is one kind of them, its options are in ``spec``."""

    @abstractmethod
    def encode(self, source: ItemSource) -> Matrix:
        """Return float32 ``(n, d)`` features of all rows of a source, dense or sparse.

        Raises:
            DataError: the source has no such text.
        """

    @property
    @abstractmethod
    def title(self) -> str:
        """Which features these are, for a report: kind, model, revision."""

    def table(self, source: ItemSource, text_digest: str, cache_dir: Path) -> TextTable:
        """Return the features of a source, from the cache where they are known.

        Args:
            source: the data set.
            text_digest: hash of its ids and texts.
            cache_dir: folder for features.
        """
        key = hashlib.sha256(json.dumps([self.spec, text_digest], sort_keys=True).encode()).hexdigest()[:16]
        stem = cache_dir / "text" / f"{source.name}-{key}"
        if _load(stem) is None:
            found = self.encode(source)
            if found.shape[0] != len(source.ids):
                raise DataError(f"{self.title}: {found.shape[0]} rows of features for {len(source.ids)} items")
            _save(found, stem)
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

    def __getitem__(self, row: int) -> Tensor:
        """Return the features of one row, float32 ``(d,)``."""
        values = self._matrix[row]
        if scipy.sparse.issparse(values):
            values = values.toarray()[0]
        return torch.from_numpy(np.array(values, dtype=np.float32))


def _load(stem: Path) -> Matrix:
    if (dense := stem.with_suffix(".npy")).exists():
        return np.load(dense, mmap_mode="r", allow_pickle=False)
    if (sparse := stem.with_suffix(".npz")).exists():
        return scipy.sparse.load_npz(sparse).tocsr()
    return None


def _save(matrix: Matrix, stem: Path) -> None:
    sparse = scipy.sparse.issparse(matrix)
    final = stem.with_suffix(".npz" if sparse else ".npy")
    partial = final.with_name(f"{final.stem}.{os.getpid()}.partial{final.suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if sparse:
            scipy.sparse.save_npz(partial, matrix)
        else:
            np.save(partial, np.asarray(matrix, dtype=np.float32))
        os.replace(partial, final)
    finally:
        partial.unlink(missing_ok=True)
