"""Databases of binary codes behind one interface: an exact scan, FAISS, and PostgreSQL with pgvector."""

from lightning_modules.retrieval.indexes.base import Hits, Index
from lightning_modules.retrieval.indexes.files import read_codes, write_codes
from lightning_modules.retrieval.indexes.flat import FaissIndex
from lightning_modules.retrieval.indexes.postgres import PgVectorIndex
from lightning_modules.retrieval.indexes.scan import ScanIndex

__all__ = ["FaissIndex", "Hits", "Index", "PgVectorIndex", "ScanIndex", "read_codes", "write_codes"]
