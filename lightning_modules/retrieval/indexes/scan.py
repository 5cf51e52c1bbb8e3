"""ScanIndex: every packed code is compared with the query; exact, embedded, without further packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from torch import Tensor

from lightning_modules.retrieval.indexes.base import Hits, Names, check_bits, pack_items, pack_queries
from lightning_modules.retrieval.indexes.files import read_codes, write_codes
from lightning_modules.retrieval.metrics.packing import PackedBits
from lightning_modules.retrieval.metrics.ranking import nearest


class ScanIndex:
    """Exact search by exclusive or and population count; see :class:`~lightning_modules.retrieval.indexes.Index`.

    Saved as one Parquet file of ids and packed codes, the one that ``evaluate.py export`` writes.

    Args:
        num_bits: code length K.
        chunk: items compared at once, >= 1; bounds the memory of a search.

    Raises:
        ValueError: an argument below 1.
    """

    def __init__(self, num_bits: int, chunk: int = 1 << 20) -> None:
        check_bits(num_bits)
        if chunk < 1:
            raise ValueError(f"chunk={chunk}: expected at least 1")
        self.num_bits, self._chunk = num_bits, chunk
        self._names, self._parts = Names(), [PackedBits.from_rows(np.empty((0, -(-num_bits // 8)), np.uint8), num_bits)]

    def __len__(self) -> int:
        return len(self._names)

    def add(self, codes: Tensor, ids: Sequence[str]) -> None:
        """Add items; see :meth:`Index.add`."""
        packed = pack_items(codes, ids, self.num_bits)
        self._names.extend(ids)
        self._parts.append(packed)

    def search(self, codes: Tensor, n: int) -> Hits:
        """Find the nearest items; ties go by the order in which items were added. See :meth:`Index.search`."""
        queries = pack_queries(codes, n, self.num_bits, len(self))
        return self._names.hits(*nearest(queries, self._packed(), n, self._chunk))

    def save(self, path: str | Path) -> None:
        """Write a Parquet file; see :mod:`~lightning_modules.retrieval.indexes.files`."""
        write_codes(path, self._packed(), list(self._names))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what :meth:`save`, ``evaluate.py export`` or ``train.py predict`` wrote; see :meth:`Index.load`."""
        packed, ids = read_codes(path)
        index = cls(packed.width)
        index._names, index._parts = Names(ids), [packed]
        return index

    def _packed(self) -> PackedBits:
        """Return all codes in one piece, which additions are joined to when somebody asks."""
        if len(self._parts) > 1:
            words = np.concatenate([part.words for part in self._parts], axis=1)
            self._parts = [PackedBits(words, self.num_bits)]
        return self._parts[0]
