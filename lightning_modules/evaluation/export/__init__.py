"""Databases and encoders for systems outside the suite: Parquet, FAISS, rows for Milvus and pgvector, torch.export."""

from lightning_modules.evaluation.export.hasher import Format, chosen_formats, export_hasher
from lightning_modules.evaluation.export.items import ExportedItems, exported_items

__all__ = ["ExportedItems", "Format", "chosen_formats", "export_hasher", "exported_items"]
