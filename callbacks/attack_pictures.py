"""AttackPictures: what an attack in training makes of the validation queries, epoch by epoch."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from callbacks.logging import writer
from lightning_modules.query_pictures import attack_grid


class AttackPictures(Callback):
    """Writes one grid per validation: original | attacked | amplified difference, a row per query.

    It shows the first batch for which the validation step returns ``original`` and ``attacked``.

    Args:
        count: rows of the grid.
    """

    def __init__(self, count: int = 8) -> None:
        self.count = count
        self._shown = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show pictures again."""
        del trainer, pl_module
        self._shown = False

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Write the grid of the first attacked queries."""
        del pl_module, batch, batch_idx
        board = writer(trainer)
        if self._shown or board is None or not (isinstance(outputs, dict) and "attacked" in outputs):
            return
        picture = attack_grid(outputs["original"], outputs["attacked"], self.count)
        board.add_image("attack/validation", picture, trainer.global_step, dataformats="HWC")
        self._shown = True
