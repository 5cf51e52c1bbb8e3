"""Codes and ids as Parquet: the file that indexes, exports and other programs share.

Columns ``id`` (text) and ``code`` (fixed-size binary of ceil(K / 8) bytes, first bit highest, a bit set where the code
is +1), any others beside them; the schema's metadata hold ``num_bits``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lightning_modules.atomic import replaced_at_once
from lightning_modules.errors import in_one_line
from lightning_modules.retrieval.metrics.packing import PackedBits, pack_codes

NUM_BITS = b"num_bits"


def write_codes(
    path: str | Path, codes: PackedBits, ids: Sequence[str], columns: Mapping[str, pa.Array] | None = None
) -> None:
    """Write codes and ids, and further columns; the file appears complete or not at all.

    Args:
        path: where to.
        codes: ``N`` packed codes.
        ids: one per code.
        columns: further columns by name, ``N`` values each.
    """
    rows = codes.rows()
    stored = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(rows.tobytes())]
    )
    table = pa.table({"id": pa.array(ids, pa.string()), "code": stored, **(columns or {})})
    write_table(path, table, codes.width)


def write_table(path: str | Path, table: pa.Table, num_bits: int) -> None:
    """Write a table that belongs to codes of ``num_bits`` bits."""
    with replaced_at_once(Path(path)) as partial:
        pq.write_table(table.replace_schema_metadata({NUM_BITS: str(num_bits)}), partial)


def read_table(path: str | Path, columns: Sequence[str]) -> pa.Table:
    """Read some columns of a Parquet file.

    Raises:
        ValueError: no such file, no Parquet, or a column is missing.
    """
    try:
        found = pq.read_schema(path).names
        missing = [name for name in columns if name not in found]
        if not missing:
            return pq.read_table(path, columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path}: no readable Parquet file ({in_one_line(error)})") from error
    raise ValueError(f"{path}: column {missing[0]!r} is missing, found {found}")


def read_codes(path: str | Path) -> tuple[PackedBits, list[str]]:
    """Read codes and ids.

    Args:
        path: written by :func:`write_codes`; or by ``train.py predict``, whose codes are lists of numbers in {-1, +1}.

    Raises:
        ValueError: no such file, or it holds something else.
    """
    table = read_table(path, ("id", "code"))
    ids, column = table["id"].to_pylist(), table["code"].combine_chunks()
    if any(not isinstance(name, str) for name in ids):
        raise ValueError(f"{path}: column 'id' must hold texts, got {table['id'].type}")
    if pa.types.is_fixed_size_list(column.type):
        numbers = column.flatten().to_numpy(zero_copy_only=False).reshape(len(ids), -1)
        return pack_codes(torch.from_numpy(numbers.astype(np.int8)), f"{path}: codes"), ids
    return _unpack(_bytes_of(column, path), num_bits_of(table, path), path), ids


def num_bits_of(table: pa.Table, path: str | Path) -> int:
    """Return the code length that a file names.

    Raises:
        ValueError: it names none.
    """
    text = (table.schema.metadata or {}).get(NUM_BITS, b"").decode()
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{path}: the schema's metadata must hold num_bits, the code length; found {text!r}")
    return int(text)


def _bytes_of(column: Any, path: str | Path) -> np.ndarray:
    """Return packed codes uint8 ``(N, bytes)`` of a column without gaps."""
    if not pa.types.is_fixed_size_binary(column.type) or column.null_count:
        raise ValueError(f"{path}: column 'code' must be fixed-size binary without gaps, got {column.type}")
    width, buffer = column.type.byte_width, column.buffers()[1]
    values = np.frombuffer(buffer, np.uint8, len(column) * width, column.offset * width)
    return values.reshape(len(column), width)


def _unpack(rows: np.ndarray, num_bits: int, path: str | Path) -> PackedBits:
    """Check packed codes against the code length that the file names."""
    width, unused = -(-num_bits // 8), -num_bits % 8
    if rows.shape[1] != width:
        raise ValueError(f"{path}: codes of {rows.shape[1]} bytes, expected {width} for {num_bits} bits")
    if (rows[:, -1] & ((1 << unused) - 1)).any():
        raise ValueError(f"{path}: codes have bits beyond the {num_bits} that the file names")
    return PackedBits.from_rows(rows, num_bits)
