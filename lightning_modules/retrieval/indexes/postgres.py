"""PgVectorIndex: codes in a table of PostgreSQL, searched by pgvector's Hamming distance."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from lightning_modules.retrieval.indexes.base import Hits, check_bits, pack_items, pack_queries
from lightning_modules.retrieval.indexes.files import read_codes, write_codes
from lightning_modules.retrieval.metrics.packing import PackedBits

EXTENSION = "CREATE EXTENSION IF NOT EXISTS vector"
# Ids are unique, and positions keep the order in which items came: it breaks ties.
COLUMNS = "position bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, code bit({num_bits}) NOT NULL"
NEAREST = "SELECT id, (code <~> %s)::int FROM {table} ORDER BY code <~> %s, position LIMIT %s"
WIDTH = "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'code'"


def import_psycopg() -> Any:
    """Import psycopg and pgvector.

    Raises:
        ImportError: one is not installed, with the command that does.
    """
    try:
        importlib.import_module("pgvector.psycopg")
        return importlib.import_module("psycopg")
    except ImportError as error:
        raise ImportError("psycopg or pgvector is not installed: pip install 'retpur[pgvector]'") from error


class PgVectorIndex:
    """A table ``(position, id text, code bit(K))``; see :class:`~lightning_modules.retrieval.indexes.Index`.

    The table is made on first use, and is there the next time: what is added stays. Search compares every row, exactly;
    an approximate index of pgvector on ``code`` (``bit_hamming_ops``) is the database's business and is used if it is
    there. :meth:`save` copies the table to a file, :meth:`load` fills a new table from one.

    Args:
        num_bits: code length K.
        address: connection string or URI of the server; what it leaves out, such as the password, comes from libpq's
            environment variables and files.
        table: name of the table, of letters, digits and underscores, not beginning with a digit.

    Raises:
        ValueError: a code length below 1, another form of name, or a table of that name which holds something else.
        ImportError: psycopg or pgvector is not installed.
    """

    def __init__(self, num_bits: int, address: str = "", table: str = "codes") -> None:
        check_bits(num_bits)
        if not table.isascii() or not table.isidentifier():
            raise ValueError(f"table={table!r}: expected letters, digits and underscores, not beginning with a digit")
        psycopg = import_psycopg()
        self.num_bits, self._table, self._errors = num_bits, psycopg.sql.Identifier(table), psycopg.errors
        self._sql, self._bit = psycopg.sql.SQL, importlib.import_module("pgvector").Bit
        self._connection: Any = psycopg.connect(address, autocommit=True)
        self._connection.execute(EXTENSION)
        importlib.import_module("pgvector.psycopg").register_vector(self._connection)
        columns = COLUMNS.format(num_bits=num_bits)
        self._run(f"CREATE TABLE IF NOT EXISTS {{table}} ({columns})")
        found = self._connection.execute(WIDTH, [f'"{table}"']).fetchone()
        if found is None or found[0] != num_bits:
            self.close()
            held = "no column code" if found is None else f"codes of {found[0]} bits"
            raise ValueError(f"table {table!r} has {held}, expected codes of {num_bits} bits")

    def __len__(self) -> int:
        return int(self._run("SELECT count(*) FROM {table}").fetchone()[0])

    def add(self, codes: Tensor, ids: Sequence[str]) -> None:
        """Add items in one transaction; see :meth:`Index.add`."""
        self._copy(pack_items(codes, ids, self.num_bits), ids)

    def search(self, codes: Tensor, n: int) -> Hits:
        """Find the nearest items; ties go by the order in which items were added. See :meth:`Index.search`."""
        queries = pack_queries(codes, n, self.num_bits, len(self))
        found = [self._run(NEAREST, [bits, bits, n]).fetchall() for bits in self._bits(queries)]
        ids = tuple(tuple(name for name, _ in rows) for rows in found)
        distances = torch.tensor([[distance for _, distance in rows] for rows in found], dtype=torch.int64)
        return Hits(ids, distances.reshape(len(found), n))

    def save(self, path: str | Path) -> None:
        """Write the table as the Parquet file of :class:`ScanIndex`, which both indexes load."""
        rows = self._run("SELECT id, code FROM {table} ORDER BY position").fetchall()
        bits = np.array([[bit == "1" for bit in code] for _, code in rows], np.bool_).reshape(-1, self.num_bits)
        write_codes(path, PackedBits.from_rows(np.packbits(bits, axis=1), self.num_bits), [name for name, _ in rows])

    @classmethod
    def load(cls, path: str | Path, address: str = "", table: str = "codes") -> Self:
        """Add the items of a Parquet file to a table; see :meth:`Index.load`, and the class for the other arguments."""
        packed, ids = read_codes(path)
        index = cls(packed.width, address, table)
        index._copy(packed, ids)
        return index

    def close(self) -> None:
        """Close the connection; the table stays."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _copy(self, packed: PackedBits, ids: Sequence[str]) -> None:
        copy = self._sql("COPY {table} (id, code) FROM STDIN (FORMAT BINARY)").format(table=self._table)
        try:
            with self._connection.cursor() as cursor, cursor.copy(copy) as rows:
                rows.set_types(["text", "bit"])
                for name, bits in zip(ids, self._bits(packed), strict=True):
                    rows.write_row((name, bits))
        except self._errors.UniqueViolation as error:
            raise ValueError(f"ids must be unique: {error.diag.message_detail}") from error

    def _run(self, query: str, values: Sequence[Any] = ()) -> Any:
        return self._connection.execute(self._sql(query).format(table=self._table), values)

    def _bits(self, packed: PackedBits) -> list[Any]:
        return [self._bit(row) for row in np.unpackbits(packed.rows(), axis=1, count=self.num_bits).astype(np.bool_)]
