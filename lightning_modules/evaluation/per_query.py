"""PerQuery: float64 figures of every query, gathered over processes in query order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class PerQuery(Metric):
    """Collects figures of every query; the result does not depend on batches or processes.

    Args:
        width: figures per query; None for a single one.
    """

    full_state_update = False
    index: list[Tensor]
    values: list[Tensor]

    def __init__(self, width: int | None = None) -> None:
        super().__init__()
        self._shape = () if width is None else (width,)
        self.add_state("index", default=[], dist_reduce_fx="cat")
        self.add_state("values", default=[], dist_reduce_fx="cat")

    def update(self, values: Tensor, index: Tensor) -> None:
        """Add figures ``(B,)`` or ``(B, width)`` of the queries at positions ``index`` ``(B,)``."""
        self.values.append(values.double().to(self.device))
        self.index.append(index.to(self.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather all processes; one without queries takes part with empty tensors of the right type."""
        if isinstance(self.index, list) and not self.index:
            self.update(torch.empty(0, *self._shape), torch.empty(0, dtype=torch.int64))
        super().sync(*args, **kwargs)

    def compute(self) -> Tensor:
        """Return float64 ``(Q,)`` or ``(Q, width)`` in query order; a query that was seen twice counts once."""
        index, values = dim_zero_cat(self.index), dim_zero_cat(self.values)
        order = torch.argsort(index, stable=True)
        index, values = index[order], values[order]
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = index[1:] != index[:-1]
        return values[first]

    def rows(self) -> Tensor:
        """Return what `compute` does, for a single query as well, of which torchmetrics would make a scalar."""
        values: Tensor = self.compute()
        return values.reshape(-1, *self._shape)
