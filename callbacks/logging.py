"""Access to the TensorBoard writer of a Trainer."""

from __future__ import annotations

from typing import Any

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger


def writer(trainer: Trainer) -> Any:
    """Return the SummaryWriter of the first process, or None without a TensorBoard logger."""
    if not trainer.is_global_zero:
        return None
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            return logger.experiment
    return None
