"""CellSummary: the figures and curves of a cell, and its place on TensorBoard's HParams page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from callbacks.logging import writer


class CellSummary(Callback):
    """Logs the hyper-parameters of a cell with MAP and T-MAP as their metrics, and its curves.

    Data set, hasher, attack and defence are the hyper-parameters; precision and recall within each Hamming radius
    are scalars whose step is the radius.
    """

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the summary of the finished cell."""
        module: Any = pl_module
        means = {f"hp/{name}": float(module.results[name].mean()) for name in ("map", "t_map")}
        figures = {name: mean for name, mean in means.items() if mean == mean}  # an untargeted attack has no T-MAP
        board = writer(trainer)
        if board is not None:
            for name in ("precision", "recall"):
                for radius, value in enumerate(module.results[name].nanmean(dim=0).tolist()):
                    board.add_scalar(f"within_radius/{name}", value, radius)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(asdict(module.cell), figures)
