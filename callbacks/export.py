"""ExportFolder: writes what a module makes (a diffusers folder) when its training ends."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer


class ExportFolder(Callback):
    """Calls the module's ``export(folder)`` at the end of training.

    Args:
        folder: where to; it is replaced.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export from the first process."""
        module: Any = pl_module
        if trainer.is_global_zero:
            module.export(self.folder)
