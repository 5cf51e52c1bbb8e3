"""CellSummary: the figures of a cell beside its hyper-parameters, for TensorBoard's HParams page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger


class CellSummary(Callback):
    """Logs data set, hasher, attack and defence as hyper-parameters, MAP and T-MAP as their metrics."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the summary of the finished cell."""
        module: Any = pl_module
        figures = {f"hp/{name}": float(module.results[name].mean()) for name in ("map", "t_map")}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(asdict(module.cell), figures)
