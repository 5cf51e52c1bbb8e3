"""Codes for TensorBoard's projector: database, clean, attacked and defended queries in one space."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.tensorboard import SummaryWriter

from lightning_modules.evaluation.context import HasherContext
from lightning_modules.evaluation.module import EvaluationModule
from lightning_modules.evaluation.plan import CLEAN
from lightning_modules.evaluation.runner import Evaluation
from lightning_modules.types import CodeBook

COLUMNS = ["id", "state", "label", "target"]
THUMBNAIL = 32  # pixels; thousands of them still fit one texture
# Codes, thumbnails in [0, 1], and one line of metadata per point.
Points = tuple[Tensor, Tensor, list[list[str]]]


def write_projector(evaluation: Evaluation, folder: Path, count: int = 100) -> None:
    """Write one embedding per hasher, ``codes_<hasher>``; one of an earlier run is replaced.

    Every point is a code, with its picture and what it is: an item of the database, or a query in the state that a
    cell left it in ("clean", "P2P", "P2P, RetPur"). Colour by state to see where an attack moves queries to, by label
    to see the classes.

    Args:
        evaluation: after its run.
        folder: TensorBoard's log folder.
        count: queries per cell, and items of the database, evenly spread.
    """
    for name, context in evaluation.contexts.items():
        parts = [_database_points(context, count)]
        for cell, module in evaluation.modules.items():
            if cell.hasher == name:
                parts += _query_points(module, context, count)
        codes = torch.cat([part[0] for part in parts])
        pictures = torch.cat([part[1] for part in parts])
        lines = [line for _, _, more in parts for line in more]
        place = folder / ("codes_" + "".join(c if c.isalnum() else "-" for c in name))
        shutil.rmtree(place, ignore_errors=True)
        with SummaryWriter(str(place)) as board:
            board.add_embedding(codes.float(), lines, pictures, tag="codes", metadata_header=COLUMNS)


def _database_points(context: HasherContext, count: int) -> Points:
    positions = torch.linspace(0, len(context.database) - 1, min(count, len(context.database))).long().tolist()
    book: CodeBook = context.database.part(positions)
    pictures = torch.stack([context.database_image(position) for position in positions])
    lines = [[one, "database", _names(context, label), "-"] for one, label in zip(book.ids, book.labels, strict=True)]
    return book.codes, _thumbnails(pictures), lines


def _query_points(module: EvaluationModule, context: HasherContext, count: int) -> Iterator[Points]:
    """Yield the first queries of a cell, shard by shard; all is stored already."""
    cell = module.cell
    attack = cell.attack if cell.source_hasher == cell.hasher else f"{cell.attack} from {cell.source_hasher}"
    parts = [part for part in (attack, cell.defence) if part != CLEAN]
    state, left = ", ".join(parts) or "clean", count
    for number in range(len(context.queries)):
        if left <= 0:
            return
        outputs = module.outputs(context.queries[number])
        rows = range(min(left, len(outputs.ids)))
        left -= len(rows)
        named = [(_names(context, outputs.label[r]), _names(context, outputs.target[r])) for r in rows]
        lines = [[outputs.ids[r], state, *named[r]] for r in rows]
        yield outputs.codes[: len(rows)], _thumbnails(outputs.defended[: len(rows)]), lines


def _names(context: HasherContext, label: Tensor) -> str:
    """Name the classes of a label on one line of a tab-separated file."""
    names = [context.data.class_names[place] for place in label.nonzero().flatten().tolist()]
    return " ".join(" + ".join(names).split()) or "-"


def _thumbnails(pictures: Tensor) -> Tensor:
    """Shrink or enlarge uint8 pictures ``(n, 3, H, W)`` to float thumbnails in [0, 1]."""
    return interpolate(pictures.float() / 255, (THUMBNAIL, THUMBNAIL), mode="area")
