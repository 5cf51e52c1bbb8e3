"""CodeStatistics: are the bits balanced, and do they differ?"""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.logging import writer


class CodeStatistics(Callback):
    """Logs statistics of all codes that a validation or test loop returns.

    The mean of every bit (0 is balanced) as a histogram, the mean entropy of a bit in bits (1 is best), the
    largest correlation of two bits, and the share of distinct codes.
    """

    def __init__(self) -> None:
        self._codes: list[Tensor] = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Collect codes."""
        del trainer, pl_module, batch, batch_idx
        self._collect(outputs)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Collect codes."""
        del trainer, pl_module, batch, batch_idx
        self._collect(outputs)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the statistics of the validation codes."""
        del pl_module
        self._log(trainer, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the statistics of the test codes."""
        del pl_module
        self._log(trainer, "test")

    def _collect(self, outputs: Any) -> None:
        codes = outputs.get("codes") if isinstance(outputs, dict) else getattr(outputs, "codes", None)
        if codes is not None:
            self._codes.append(codes.cpu())

    def _log(self, trainer: Trainer, stage: str) -> None:
        board = writer(trainer)
        if self._codes and board is not None:
            codes, step = torch.cat(self._codes), trainer.global_step
            board.add_histogram(f"codes/{stage}/bit_mean", codes.float().mean(dim=0), step)
            for name, value in code_statistics(codes).items():
                board.add_scalar(f"codes/{stage}/{name}", value, step)
        self._codes = []


def code_statistics(codes: Tensor) -> dict[str, float]:
    """Summarise codes.

    Args:
        codes: int8 ``(N, K)`` in {-1, +1}, N at least 1.

    Returns:
        ``bit_entropy`` in [0, 1] (mean over bits), ``max_correlation`` in [0, 1] (largest absolute
        correlation of two different bits that vary), ``distinct`` in (0, 1] (distinct codes over N).
    """
    bits = codes.float()
    share = (bits.mean(dim=0) + 1) / 2
    entropy = -(torch.special.xlogy(share, share) + torch.special.xlogy(1 - share, 1 - share)) / torch.log(
        torch.tensor(2.0)
    )
    varying = bits[:, (share > 0) & (share < 1)]
    correlation = torch.zeros(1)
    if varying.shape[1] > 1:
        correlation = torch.corrcoef(varying.T).fill_diagonal_(0).abs()
    return {
        "bit_entropy": float(entropy.mean()),
        "max_correlation": float(correlation.max()),
        "distinct": len(torch.unique(codes, dim=0)) / len(codes),
    }
