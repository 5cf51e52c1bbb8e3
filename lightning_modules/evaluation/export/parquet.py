"""Exported items as a Parquet file, which ``retrieval.indexes.ScanIndex`` loads again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lightning_modules.evaluation.export.items import ExportedItems
from lightning_modules.retrieval.indexes import write_codes
from lightning_modules.retrieval.metrics import pack_codes

PARQUET = "codes.parquet"


def write_parquet(items: ExportedItems, folder: Path) -> None:
    """Write ``codes.parquet``: id, packed code, labels, and file names and captions; ``ScanIndex.load`` reads it."""
    columns = {"labels": pa.array(items.labels, pa.list_(pa.string()))}
    columns |= {name: pa.array(texts, pa.string()) for name, texts in items.texts.items()}
    write_codes(folder / PARQUET, pack_codes(items.codes), items.ids, columns)
