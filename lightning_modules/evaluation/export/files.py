"""Exported items as Parquet and as a FAISS index: what is loaded again by ``retrieval.indexes``."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from lightning_modules.evaluation.export.items import ExportedItems
from lightning_modules.retrieval.indexes import FaissIndex, write_codes
from lightning_modules.retrieval.metrics import pack_codes

PARQUET, FAISS = "codes.parquet", "faiss"


def write_parquet(items: ExportedItems, folder: Path) -> None:
    """Write ``codes.parquet``: id, packed code, labels, and file names and captions; ``ScanIndex.load`` reads it."""
    columns = {"labels": pa.array(items.labels, pa.list_(pa.string()))}
    columns |= {name: pa.array(texts, pa.string()) for name, texts in items.texts.items()}
    write_codes(folder / PARQUET, pack_codes(items.codes), items.ids, columns)


def write_faiss(items: ExportedItems, folder: Path) -> None:
    """Write the folder ``faiss``, which ``FaissIndex.load`` reads; its ``index.faiss`` is FAISS's own."""
    index = FaissIndex(items.num_bits)
    index.add(items.codes, items.ids)
    index.save(folder / FAISS)


@contextmanager
def written_at_once(path: Path) -> Iterator[TextIO]:
    """Open a text file for writing that appears under its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
