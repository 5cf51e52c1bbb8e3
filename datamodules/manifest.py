"""The manifest: which item is in which split with which label and text, and fingerprints of exactly that."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from datamodules.parquet import label_column, write_table
from datamodules.source import ItemSource
from datamodules.splits import Splits


def fingerprint(
    ids: Sequence[str], labels: np.ndarray, splits: Splits, class_names: Sequence[str], protocol: str = ""
) -> str:
    """Hash ids, labels and membership in id order; not paths, bytes, row order or validation items.

    The hash is that of the UTF-8 lines ``protocol``, the class names joined by U+001F, and
    ``id|q|d|train_pos|label`` per item: is it a query, is it in the database, its places in the training list.

    Returns:
        sha256 as 64 hexadecimal digits. It is part of every cache key and stands in every report.
    """
    digest = hashlib.sha256(f"{protocol}\n{chr(31).join(class_names)}\n".encode())
    query, database = (set(splits[name].tolist()) for name in ("query", "database"))
    places = train_positions(splits.train)
    for row in sorted(query | database | places.keys(), key=lambda row: ids[row]):
        places_of_row = ",".join(map(str, places.get(row, ())))
        label = "".join(map(str, labels[row].tolist()))
        digest.update(f"{ids[row]}|{row in query:d}|{row in database:d}|{places_of_row}|{label}\n".encode())
    return digest.hexdigest()


def text_fingerprint(source: ItemSource, splits: Splits) -> str:
    """Hash captions and tags of all used items in id order; '' for a data set without texts."""
    digest, any_text = hashlib.sha256(), False
    for row in _used(source, splits):
        text = (*source.sentences(row), "", *source.tags(row))
        any_text = any_text or len(text) > 1
        digest.update("\x1f".join((source.ids[row], *text)).encode() + b"\n")
    return digest.hexdigest() if any_text else ""


def train_positions(train: np.ndarray) -> dict[int, list[int]]:
    """Return the places of each row in the training list; a published list may name an item twice."""
    places = defaultdict(list)
    for position, row in enumerate(train.tolist()):
        places[row].append(position)
    return dict(places)


def write_manifest(source: ItemSource, splits: Splits, path: Path, facts: dict[str, str]) -> None:
    """Write one row per used item, in id order, with ``facts`` as Parquet metadata, atomically.

    Columns: ``id``, ``path``, ``is_query``, ``is_database``, ``is_train``, ``is_val``, ``train_pos`` (places in
    the training list), ``db_pos`` (place in the database, which decides index ties), ``label``, ``text``,
    ``tags``.

    Raises:
        DataError: the folder cannot be written.
    """
    rows = np.array(_used(source, splits), dtype=np.int64)
    places = train_positions(splits.train)
    position = {row: place for place, row in enumerate(splits.database.tolist())}
    flags = {f"is_{name}": pa.array(np.isin(rows, splits[name])) for name in ("query", "database", "train", "val")}
    columns = {
        "id": pa.array([source.ids[row] for row in rows]),
        "path": pa.array([source.path(row) for row in rows], pa.string()),
        **flags,
        "train_pos": pa.array([places.get(row, []) for row in rows.tolist()], pa.list_(pa.int32())),
        "db_pos": pa.array([position.get(row) for row in rows.tolist()], pa.int32()),
        "label": label_column(source.labels[rows]),
        "text": pa.array([list(source.sentences(row)) for row in rows], pa.list_(pa.string())),
        "tags": pa.array([list(source.tags(row)) for row in rows], pa.list_(pa.string())),
    }
    write_table(pa.table(columns), path, facts, "the manifest")


def _used(source: ItemSource, splits: Splits) -> list[int]:
    rows = np.unique(np.concatenate([splits.train, splits.val, splits.query, splits.database])).tolist()
    return sorted(rows, key=lambda row: source.ids[row])
