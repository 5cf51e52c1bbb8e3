"""CodeWriter: keeps the codes that ``predict`` makes, one Parquet file per process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from lightning_modules.atomic import replaced_at_once


class CodeWriter(BasePredictionWriter):
    """Writes ``codes-<rank>.parquet``: columns ``id`` and ``code``, a list of K numbers in {-1, +1}.

    A file appears under its name when prediction is complete. Where several processes share an uneven number of
    pictures, Lightning repeats some; equal ids have equal codes.

    Args:
        folder: where the files go.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(write_interval="batch_and_epoch")
        self._folder = Path(folder)
        self._ids: list[str] = []
        self._codes: list[torch.Tensor] = []

    def write_on_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, prediction: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Keep the codes of a batch."""
        del trainer, pl_module, args, kwargs
        self._ids += prediction["ids"]
        self._codes.append(prediction["codes"].cpu())

    def write_on_epoch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Write the codes of this process."""
        del pl_module, args, kwargs
        codes = torch.cat(self._codes)
        column = pa.FixedSizeListArray.from_arrays(pa.array(codes.flatten().numpy()), codes.shape[1])
        with replaced_at_once(self._folder / f"codes-{trainer.global_rank}.parquet") as partial:
            pq.write_table(pa.table({"id": self._ids, "code": column}), partial)
        self._ids, self._codes = [], []
