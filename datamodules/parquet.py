"""Parquet files of the suite: written atomically, read with the facts that stand in their metadata."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.source import DataError


def label_column(labels: np.ndarray) -> Any:
    """Return uint8 ``(n, C)`` labels as a column of fixed-size lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(labels.reshape(-1)), labels.shape[1])


def labels_of(column: Any) -> np.ndarray:
    """Return the uint8 ``(n, C)`` labels of a column that :func:`label_column` made."""
    column = column.combine_chunks()
    flat: np.ndarray = column.flatten().to_numpy()
    return flat.reshape(len(column), column.type.list_size)


def write_table(table: Any, path: Path, facts: dict[str, str], what: str) -> None:
    """Write a table with ``facts`` as its metadata; a killed run leaves nothing half-made behind.

    Raises:
        DataError: the folder cannot be written; the message calls the file ``what``.
    """
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.replace_schema_metadata(dict(facts)), partial)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise DataError(f"{path}: {what} cannot be written ({error.strerror or error})") from error


def read_facts(path: Path) -> dict[str, str] | None:
    """Return the facts of a file without reading its rows; None if there is no such file, or none that is Parquet."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return {key.decode(): value.decode() for key, value in metadata.items()}


def read_table(path: Path, what: str) -> tuple[Any, dict[str, str]]:
    """Return a table and its facts.

    Raises:
        DataError: the file is missing or is no Parquet.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: {what} cannot be read ({error}); delete it, it is made again") from error
    facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return table, facts
