"""RetrievalLists: what the system returns for a query, before and after attack and defence."""

from __future__ import annotations

from typing import Any

from lightning import Callback, Trainer

from callbacks.logging import writer
from lightning_modules.query_pictures import retrieval_lists, retrieved_texts


class RetrievalLists(Callback):
    """Writes ranked lists of a few queries: for the original, the attacked and the defended image.

    Frames tell a hit (shares a class with the query), the attacker's target, both, or a miss. A cross-modal hasher also
    retrieves texts: their lists are on TensorBoard's page of texts, under the same id.

    Args:
        count: number of queries.
        depth: images, and texts, per list.
    """

    def __init__(self, count: int = 4, depth: int = 10) -> None:
        self.count, self.depth = count, depth

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Write the lists of the first queries."""
        del batch
        board = writer(trainer)
        if board is None or batch_idx > 0:
            return
        for row in range(min(self.count, len(outputs.ids))):
            picture = retrieval_lists(pl_module, outputs, row, self.depth)
            board.add_image(f"retrieval/{outputs.ids[row]}", picture, dataformats="HWC")
            if pl_module.context.text is not None:
                board.add_text(f"retrieval/{outputs.ids[row]}", retrieved_texts(pl_module, outputs, row, self.depth))
