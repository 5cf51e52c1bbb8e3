"""PurificationTrajectory: the chain x_t of one purification (Figure 1 of the paper)."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from callbacks.logging import writer
from lightning_modules.query_pictures import can_be_watched, purification_trajectory


class PurificationTrajectory(Callback):
    """Writes the x_t of the first query as one row of pictures, from the attacked image to the purified one.

    Args:
        columns: pictures in the row.
    """

    def __init__(self, columns: int = 8) -> None:
        self.columns = columns

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Purify the first query once more, watched."""
        del batch
        board, defence = writer(trainer), getattr(pl_module, "defence", None)
        if batch_idx > 0 or board is None or not can_be_watched(defence):
            return
        attacked = outputs.attacked[0].to(pl_module.device)
        picture = purification_trajectory(defence, attacked, outputs.ids[0], self.columns)
        board.add_image(f"trajectory/{outputs.ids[0]}", picture, dataformats="HWC")
