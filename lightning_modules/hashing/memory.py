"""A memory of the latest code of every training item, right on one process and on many."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.hashing.gather import gather_memory_rows


class CodeMemory(nn.Module):
    """The latest codes U ``(N, K)`` and the labels ``(N, C)`` of all training items.

    Both are persistent buffers: a resumed training goes on with the same memory. Under DDP every process
    holds the whole memory; :meth:`write` exchanges the new rows, so that all copies stay equal.

    Args:
        labels: uint8 ``(N, C)`` multi-hot labels of the training split, in split order.
        num_bits: code length K.
    """

    codes: Tensor
    labels: Tensor

    def __init__(self, labels: Tensor, num_bits: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(len(labels), num_bits))
        self.register_buffer("labels", labels.clone())

    @torch.no_grad()
    def write(self, index: Tensor, codes: Tensor) -> None:
        """Store the codes ``(b, K)`` of items ``index`` ``(b,)``, those of the other processes included."""
        index, codes = gather_memory_rows(index, codes.to(self.codes.dtype))
        self.codes[index] = codes
