"""The manifest: which item is in which split with which label, and a fingerprint of exactly that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.source import DataError, ItemSource
from datamodules.splits import Splits


def fingerprint(ids: Sequence[str], labels: np.ndarray, splits: Splits, class_names: Sequence[str]) -> str:
    """Hash ids, labels and split membership in id order; not paths, bytes or row order.

    Returns:
        sha256 as 64 hexadecimal digits. It is part of every cache key and stands in every report.
    """
    train, val, query, database = (set(splits[name].tolist()) for name in ("train", "val", "query", "database"))
    digest = hashlib.sha256("\x1f".join(class_names).encode() + b"\n")
    used = sorted(train | val | query | database, key=lambda row: ids[row])
    for row in used:
        flags = "".join("1" if row in part else "0" for part in (query, database, train, val))
        digest.update(f"{ids[row]}|{flags}|{''.join(map(str, labels[row].tolist()))}\n".encode())
    return digest.hexdigest()


def write_manifest(source: ItemSource, splits: Splits, path: Path, facts: dict[str, str]) -> None:
    """Write one row per used item (id, membership, label) with ``facts`` as Parquet metadata, atomically.

    Raises:
        DataError: the folder cannot be written.
    """
    rows = np.unique(np.concatenate([splits.train, splits.val, splits.query, splits.database]))
    rows = np.array(sorted(rows, key=lambda row: source.ids[row]), dtype=np.int64)
    columns: dict[str, pa.Array] = {"id": pa.array([source.ids[row] for row in rows])}
    for name in ("train", "val", "query", "database"):
        columns[f"is_{name}"] = pa.array(np.isin(rows, splits[name]))
    flat = pa.array(source.labels[rows].reshape(-1))
    columns["label"] = pa.FixedSizeListArray.from_arrays(flat, source.labels.shape[1])
    table = pa.table(columns).replace_schema_metadata(dict(facts.items()))
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, partial)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise DataError(f"{path}: the manifest cannot be written ({error.strerror or error})") from error
