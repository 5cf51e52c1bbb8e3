"""QueryPictures: what an attack and a defence do to a picture, for TensorBoard's image page."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from callbacks.logging import writer
from lightning_modules.query_pictures import query_strip


class QueryPictures(Callback):
    """Writes one composed picture per query: original | attacked | purified | amplified differences.

    TensorBoard keeps ten pictures of a tag, hence a tag of its own for every query, named by its id.

    Args:
        count: number of queries.
    """

    def __init__(self, count: int = 8) -> None:
        self.count = count
        self._left = count

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting anew."""
        del trainer, pl_module
        self._left = self.count

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Write the first queries of the first steps."""
        del pl_module, batch, batch_idx
        board = writer(trainer)
        if board is None:
            return
        for row in range(min(self._left, len(outputs.ids))):
            board.add_image(f"queries/{outputs.ids[row]}", query_strip(outputs, row), dataformats="HWC")
            self._left -= 1
