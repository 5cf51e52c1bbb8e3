"""What is exported of a database: codes, ids, and what is known of the items."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from lightning_modules.types import CodeBook


@dataclass(frozen=True)
class ExportedItems:
    """Items of a database.

    Attributes:
        codes: int8 ``(N, K)`` in {-1, +1}.
        ids: ``N`` sample ids.
        labels: the class names of each item.
        texts: further columns, ``file`` and ``caption`` where the data has any; None for an item without.
        class_names: all class names, in label order.
    """

    codes: Tensor
    ids: tuple[str, ...]
    labels: list[list[str]]
    texts: dict[str, list[str | None]] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    @property
    def num_bits(self) -> int:
        """Code length K."""
        return int(self.codes.shape[1])

    def __len__(self) -> int:
        return len(self.ids)


def exported_items(data: Any, split: str, book: CodeBook) -> ExportedItems:
    """Join the codes of a split with what is known of its items.

    Args:
        data: the data module, set up.
        split: name of the split.
        book: its codes, labels and ids.
    """
    names, rows = np.array(data.class_names, dtype=object), data.rows(split).tolist()
    labels = [names[row].tolist() for row in book.labels.numpy().astype(bool)]
    columns = {"file": [data.source.path(row) for row in rows], "caption": [data.source.caption(row) for row in rows]}
    texts = {name: found for name, found in columns.items() if any(text is not None for text in found)}
    return ExportedItems(book.codes, book.ids, labels, texts, tuple(data.class_names))
