"""Exported items as SQL for PostgreSQL with pgvector: ``psql -f pgvector.sql`` makes and fills the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightning_modules.atomic import written_at_once
from lightning_modules.evaluation.export.items import ExportedItems
from lightning_modules.retrieval.indexes.postgres import COLUMNS, EXTENSION
from lightning_modules.retrieval.metrics import pack_codes

FILE = "pgvector.sql"
# Of COPY's text form; a backslash first, since the others add some.
ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def write_pgvector(items: ExportedItems, folder: Path, table: str = "codes") -> None:
    """Write ``pgvector.sql``: one transaction that makes a table and copies the items into it.

    The table is one that :class:`~lightning_modules.retrieval.indexes.PgVectorIndex` opens, with more columns.

    Args:
        items: what is written.
        folder: where to.
        table: name of the table.

    Raises:
        ValueError: a text with a zero byte, which PostgreSQL cannot hold.
    """
    columns = [COLUMNS.format(num_bits=items.num_bits), "labels text[] NOT NULL", *(f"{c} text" for c in items.texts)]
    described = ", ".join(columns)
    names = ", ".join(["id", "code", "labels", *items.texts])
    bits = np.unpackbits(pack_codes(items.codes).rows(), axis=1, count=items.num_bits) + ord("0")
    with written_at_once(folder / FILE) as file:
        file.write(f"\\set ON_ERROR_STOP on\nBEGIN;\n{EXTENSION};\n")
        file.write(f"CREATE TABLE {table} ({described});\n")
        file.write(f"COPY {table} ({names}) FROM stdin;\n")
        for row, name in enumerate(items.ids):
            code, labels = bits[row].tobytes().decode(), _array(items.labels[row])
            texts = [column[row] for column in items.texts.values()]
            file.write("\t".join(map(_escaped, [name, code, labels, *texts])) + "\n")
        file.write("\\.\nCOMMIT;\n")


def _array(values: list[str]) -> str:
    """Return PostgreSQL's literal of a text array."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _escaped(value: str | None) -> str:
    if value is None:
        return "\\N"
    if "\0" in value:
        raise ValueError(f"text {value[:40]!r} has a zero byte, which PostgreSQL cannot hold")
    for plain, escaped in ESCAPES:
        value = value.replace(plain, escaped)
    return value
