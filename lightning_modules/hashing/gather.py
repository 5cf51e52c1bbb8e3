"""The rows of all processes: for losses that compare the items of a batch with each other, and for memories."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.count = len(rows)
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)  # what the losses of all processes say of all rows
        return gradient[dist.get_rank() * ctx.count :][: ctx.count]


def gather_rows(rows: Tensor, dim: int = 0) -> tuple[Tensor, slice]:
    """Collect the rows of all processes; gradients of every process reach the rows that they belong to.

    With the mean of the own rows' losses as the loss of a process, DDP's average of gradients is then the gradient
    of the mean over all rows, as on one process.

    Args:
        rows: a tensor of the same shape on every process (Lightning's samplers see to that).
        dim: the dimension that counts items.

    Returns:
        the rows of all processes in the order of their ranks, and where the own ones are among them.
    """
    count = rows.shape[dim]
    if not (dist.is_available() and dist.is_initialized()):
        return rows, slice(0, count)
    gathered: Tensor = _GatherRows.apply(rows.movedim(dim, 0).contiguous())
    return gathered.movedim(0, dim), slice(dist.get_rank() * count, (dist.get_rank() + 1) * count)


def gather_memory_rows(index: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Collect what every process writes to its copy of a memory: where, and what, so that all copies stay equal.

    Args:
        index: int64 ``(b,)``; processes may have different numbers of rows.
        values: ``(b, ...)``, without gradients.

    Returns:
        both of all processes, in the order of their ranks.
    """
    index, values = index.contiguous(), values.detach().contiguous()
    if not (dist.is_available() and dist.is_initialized()):
        return index, values
    return torch.cat(gather_all_tensors(index)), torch.cat(gather_all_tensors(values))
