"""How the chain calls its network: precision, memory layout, compilation, tiles; batches that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from lightning_modules.purification.denoiser import Denoiser
from lightning_modules.purification.tiles import tiled

Precision = Literal["float32", "bfloat16", "float16"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class NetworkCall:
    """A denoiser as the chain calls it: float32 in and out, whatever the network computes in.

    Args:
        denoiser: the network.
        precision: of its layers; below float32 by autocast.
        channels_last: keep its weights and activations with channels innermost.
        compile: compile it with ``torch.compile``; one graph per shape of a batch, for all timesteps.
        tile: run it on tiles of that many pixels; None runs it on whole images.

    Raises:
        ValueError: unknown precision.
    """

    def __init__(
        self, denoiser: Denoiser, precision: Precision, channels_last: bool, compile: bool, tile: int | None
    ) -> None:
        if precision not in DTYPES:
            raise ValueError(f"precision={precision!r}: expected one of {', '.join(DTYPES)}")
        self._dtype, self._channels_last, self._tile = DTYPES[precision], channels_last, tile
        if channels_last:
            denoiser.unet.to(memory_format=torch.channels_last)
        self._network: Callable[[Tensor, Tensor], Tensor] = denoiser.outputs
        if compile:
            self._network = torch.compile(denoiser.outputs, dynamic=False)

    def __call__(self, x: Tensor, timesteps: Tensor) -> Tensor:
        """Predict noise (and v); see :meth:`Denoiser.outputs`."""
        with torch.autocast(x.device.type, self._dtype, enabled=self._dtype != torch.float32):
            if self._tile is None:
                return self._whole(x, timesteps)
            return tiled(self._whole, x, timesteps, self._tile)

    def _whole(self, x: Tensor, timesteps: Tensor) -> Tensor:
        if self._channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        return self._network(x, timesteps).contiguous()


class FittingBatches:
    """Cuts work in batches, and halves them where the memory does not suffice; what fits is remembered.

    Args:
        size: items per batch at first.

    Raises:
        ValueError: fewer than one.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"batch_size={size}: expected at least 1")
        self.size = size

    def run(self, count: int, work: Callable[[slice], Tensor]) -> Iterator[Tensor]:
        """Yield ``work(rows)`` for consecutive rows of ``count`` items.

        Raises:
            RuntimeError: a single item does not fit.
        """
        start = 0
        while start < count:
            rows = slice(start, min(start + self.size, count))
            try:
                done = work(rows)
            except RuntimeError as error:
                if not out_of_memory(error) or rows.stop - rows.start == 1:
                    raise
                self.size = -(-(rows.stop - rows.start) // 2)
                continue
            yield done
            start = rows.stop


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that the device's or the machine's memory does not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
