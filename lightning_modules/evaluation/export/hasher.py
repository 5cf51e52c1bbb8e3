"""Exports one hasher of a plan: its database in every format that is asked for, and its image encoder."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from lightning_modules.atomic import written_at_once
from lightning_modules.evaluation.context import HasherContext
from lightning_modules.evaluation.export.encoder import ENCODER, write_encoder
from lightning_modules.evaluation.export.faiss import write_faiss
from lightning_modules.evaluation.export.items import exported_items
from lightning_modules.evaluation.export.milvus import write_milvus
from lightning_modules.evaluation.export.parquet import write_parquet
from lightning_modules.evaluation.export.pgvector import write_pgvector
from lightning_modules.evaluation.runner import Evaluation
from lightning_modules.processes import is_first_process
from lightning_modules.retrieval.indexes.flat import import_faiss

Format = Literal["parquet", "faiss", "milvus", "pgvector", "encoder"]
FACTS = "export.json"
TABLES = {"images": "codes", "texts": "text_codes"}
WRITERS = {"parquet": write_parquet, "faiss": write_faiss, "milvus": write_milvus}


def chosen_formats(formats: Sequence[Format] | None) -> list[Format]:
    """Check formats before any work.

    Args:
        formats: what is to be written; None is all, ``faiss`` if it is installed.

    Raises:
        ImportError: ``faiss`` is asked for and not installed.
    """
    if formats is None:
        return [name for name in get_args(Format) if name != "faiss" or importlib.util.find_spec("faiss")]
    if "faiss" in formats:
        import_faiss()
    return list(formats)


def export_hasher(evaluation: Evaluation, hasher: str, folder: Path, formats: Sequence[Format]) -> None:
    """Hash the database of a hasher as far as that is not stored yet, and write it; old files are replaced.

    Args:
        evaluation: of a plan with that hasher.
        hasher: its name.
        folder: ``export.json``, ``encoder.pt2``, and a folder ``images``, for a cross-modal hasher also ``texts``, with
            the formats of the database.
        formats: which.
    """
    evaluation.prepare()
    if not is_first_process():
        return
    context = evaluation.contexts[hasher]
    books = {"images": context.database} | ({} if context.text is None else {"texts": context.text.database})
    for name, book in books.items():
        items = exported_items(context.data, context.database_split, book)
        writers = WRITERS | {"pgvector": partial(write_pgvector, table=TABLES[name])}  # one schema holds both
        for kind in (one for one in formats if one in writers):
            writers[kind](items, folder / name)
            print(f"{folder / name}: {kind}, {len(items)} items", flush=True)
    facts = {
        "hasher": hasher,
        "hasher_digest": context.digest,
        "num_bits": context.encoder.num_bits,
        "image_size": context.data.pixels.size,
        "data_set": context.data.dataset_name,
        "fingerprint": context.data.fingerprint,
        "class_names": list(context.data.class_names),
        "items": {name: len(book) for name, book in books.items()},
        "encoder": _export_encoder(context, folder) if "encoder" in formats else None,
    }
    with written_at_once(folder / FACTS) as file:
        json.dump(facts, file, indent=1, ensure_ascii=False)


def _export_encoder(context: HasherContext, folder: Path) -> str | None:
    """Return the name of the encoder's file; without one the codes are still of use, so a line says what is missing."""
    try:
        write_encoder(context.encoder, context.data.pixels.size, folder)
    except ValueError as error:
        print(f"{folder}: no {ENCODER}: {error}", flush=True)
        return None
    print(f"{folder / ENCODER}: the image encoder, as a program of torch.export", flush=True)
    return ENCODER
