"""Exported items as a FAISS index, which ``retrieval.indexes.FaissIndex`` loads again."""

from __future__ import annotations

from pathlib import Path

from lightning_modules.evaluation.export.items import ExportedItems
from lightning_modules.retrieval.indexes import FaissIndex

FAISS = "faiss"


def write_faiss(items: ExportedItems, folder: Path) -> None:
    """Write the folder ``faiss``, which ``FaissIndex.load`` reads; its ``index.faiss`` is FAISS's own."""
    index = FaissIndex(items.num_bits)
    index.add(items.codes, items.ids)
    index.save(folder / FAISS)
