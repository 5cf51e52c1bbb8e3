"""ChannelsLast: convolutions in the memory layout that is fastest on CPUs and tensor cores."""

from __future__ import annotations

import torch
from lightning import Callback, LightningModule, Trainer


class ChannelsLast(Callback):
    """Stores convolution weights channels-last; activations follow. Results change by rounding only."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Convert the module's weights before it is moved and wrapped."""
        del trainer, stage
        pl_module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
