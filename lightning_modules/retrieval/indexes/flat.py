"""FaissIndex: FAISS's exhaustive binary index behind the common interface."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from torch import Tensor

from lightning_modules.atomic import replaced_at_once
from lightning_modules.errors import in_one_line
from lightning_modules.retrieval.indexes.base import Hits, Names, check_bits, pack_items, pack_queries
from lightning_modules.retrieval.indexes.files import num_bits_of, read_table, write_table

FAISS, IDS = "index.faiss", "ids.parquet"


def import_faiss() -> Any:
    """Import FAISS.

    Raises:
        ImportError: it is not installed, with the command that does.
    """
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise ImportError("FAISS is not installed: pip install 'retpur[faiss]'") from error


class FaissIndex:
    """``faiss.IndexBinaryFlat`` with ids; see :class:`~lightning_modules.retrieval.indexes.Index`.

    Saved as a folder of ``index.faiss``, which any FAISS program reads, and ``ids.parquet``, whose rows are FAISS's
    numbers of the items. FAISS holds whole bytes: codes are filled up with bits that all items share.

    Args:
        num_bits: code length K.

    Raises:
        ValueError: a code length below 1.
        ImportError: FAISS is not installed.
    """

    def __init__(self, num_bits: int) -> None:
        check_bits(num_bits)
        self.num_bits, self._names = num_bits, Names()
        self._faiss = import_faiss()
        self._index: Any = self._faiss.IndexBinaryFlat(-(-num_bits // 8) * 8)

    def __len__(self) -> int:
        return len(self._names)

    def add(self, codes: Tensor, ids: Sequence[str]) -> None:
        """Add items; see :meth:`Index.add`."""
        packed = pack_items(codes, ids, self.num_bits)
        self._names.extend(ids)
        self._index.add(packed.rows())

    def search(self, codes: Tensor, n: int) -> Hits:
        """Find the nearest items, tied ones in no certain order; see :meth:`Index.search`."""
        queries = pack_queries(codes, n, self.num_bits, len(self))
        distances, rows = self._index.search(queries.rows(), n)
        return self._names.hits(rows, distances)

    def save(self, path: str | Path) -> None:
        """Write a folder; see the class."""
        folder = Path(path)
        with replaced_at_once(folder / FAISS) as partial:
            self._faiss.write_index_binary(self._index, str(partial))
        write_table(folder / IDS, pa.table({"id": pa.array(list(self._names), pa.string())}), self.num_bits)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a folder of :meth:`save`; see :meth:`Index.load`."""
        file = Path(path) / FAISS
        table = read_table(Path(path) / IDS, ("id",))
        index = cls(num_bits_of(table, Path(path) / IDS))
        try:
            stored = index._faiss.read_index_binary(str(file))
        except RuntimeError as error:
            raise ValueError(f"{file}: no readable binary index of FAISS ({in_one_line(error)})") from error
        if stored.d != index._index.d or stored.ntotal != len(table):
            raise ValueError(
                f"{file} holds {stored.ntotal} codes of {stored.d} bits, but {IDS} beside it has {len(table)} ids "
                f"of codes of {index.num_bits} bits"
            )
        index._index, index._names = stored, Names(table["id"].to_pylist())
        return index
