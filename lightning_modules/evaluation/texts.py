"""The texts of a cross-modal hasher: their codes, and those that an attacker may aim at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_modules.hashing import HashEncoder
from lightning_modules.types import CodeBook, binarize

CHUNK = 4096


@dataclass(frozen=True)
class TextSide:
    """Codes of all texts; computed anew for every evaluation, which takes less time than to look them up.

    Attributes:
        database: codes, labels and ids of the database's texts.
        queries: int8 ``(Q, K)`` codes of the queries' texts.
        targets: float32 ``(Q, d)`` features of the text that each query's attacker aims at, or None where targets are
            labels without an item.
    """

    database: CodeBook
    queries: Tensor
    targets: Tensor | None


def hash_texts(encoder: HashEncoder, features: Tensor) -> Tensor:
    """Hash text features float ``(n, d)`` to int8 codes ``(n, K)``."""
    with torch.inference_mode():
        return torch.cat([binarize(encoder(part)) for part in features.split(CHUNK)])


def make_text_side(
    encoder: HashEncoder, data: Any, splits: tuple[str, str], database: CodeBook, total: int, rows: Tensor | None
) -> TextSide:
    """Hash the texts of an evaluation.

    Args:
        encoder: the text encoder, in eval mode.
        data: the data module, set up, with text features.
        splits: names of the query split and of the database split.
        database: labels and ids of the database.
        total: number of queries.
        rows: int64 ``(Q,)``, the database item that is each query's target, or None.
    """
    queries, ranked = (data.text_features(split) for split in splits)
    return TextSide(
        CodeBook(hash_texts(encoder, ranked), database.labels, database.ids),
        hash_texts(encoder, queries[:total]),
        None if rows is None else ranked[rows],
    )
