"""Export: writes what a module makes (a diffusers folder, backbone weights) when its training ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Export(Callback):
    """Calls the module's ``export(path)`` at the end of training.

    Args:
        path: where to; it is replaced. None is ``export`` in the folder of the run.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Export from the first process."""
        module: Any = pl_module
        if trainer.is_global_zero:
            module.export(self.path or str(Path(trainer.log_dir or trainer.default_root_dir) / "export"))
