"""Exported items as rows for Milvus: a collection's schema, and the rows as its bulk import reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning_modules.atomic import written_at_once
from lightning_modules.evaluation.export.items import ExportedItems
from lightning_modules.retrieval.metrics import pack_codes

FOLDER, SCHEMA, ROWS = "milvus", "schema.json", "rows.json"
# Numbers of pymilvus.DataType.
VARCHAR, ARRAY, BINARY_VECTOR = 21, 22, 100
LONGEST, MOST_LABELS = 65535, 4096  # limits of Milvus: bytes of a VARCHAR, elements of an ARRAY


def write_milvus(items: ExportedItems, folder: Path) -> None:
    """Write ``milvus/schema.json``, for ``CollectionSchema.construct_from_dict``, and ``milvus/rows.json``.

    Codes are a BINARY_VECTOR, filled up to whole bytes; search them with metric HAMMING and index BIN_FLAT.

    Raises:
        ValueError: a text is longer than Milvus takes.
    """
    _check_lengths(items)
    with written_at_once(folder / FOLDER / SCHEMA) as file:
        json.dump(schema(items), file, indent=1)
    vectors = pack_codes(items.codes).rows()
    with written_at_once(folder / FOLDER / ROWS) as file:
        file.write('{"rows": [')
        for row, name in enumerate(items.ids):
            texts = {column: values[row] for column, values in items.texts.items()}
            found = {"id": name, "code": vectors[row].tolist(), "labels": items.labels[row], **texts}
            file.write(f"{',' if row else ''}\n{json.dumps(found, ensure_ascii=False)}")
        file.write("\n]}\n")


def schema(items: ExportedItems) -> dict[str, Any]:
    """Return the schema of a collection in the form of ``CollectionSchema.to_dict``."""
    length = {"max_length": LONGEST}
    labels = {"max_capacity": min(max(1, len(items.class_names)), MOST_LABELS)}
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": VARCHAR, "params": length, "is_primary": True, "auto_id": False},
        {"name": "code", "type": BINARY_VECTOR, "params": {"dim": -(-items.num_bits // 8) * 8}},
        {"name": "labels", "type": ARRAY, "element_type": VARCHAR, "params": length | labels},
    ]
    fields += [{"name": name, "type": VARCHAR, "params": length, "nullable": True} for name in items.texts]
    return {"description": f"codes of {items.num_bits} bits", "fields": fields, "enable_dynamic_field": False}


def _check_lengths(items: ExportedItems) -> None:
    for column, texts in {"id": items.ids, **items.texts}.items():
        for name, text in zip(items.ids, texts, strict=True):
            if text is not None and len(text.encode()) > LONGEST:
                raise ValueError(
                    f"item {name!r}: its {column} has more than {LONGEST} bytes, the most that Milvus takes"
                )
