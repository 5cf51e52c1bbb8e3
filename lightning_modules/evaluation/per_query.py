"""PerQuery: one float64 figure per query, gathered over processes in query order."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class PerQuery(Metric):
    """Collects a figure of every query; the result does not depend on batches or processes."""

    index: Tensor
    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Tensors rather than lists, so that a process without queries takes part in the exchange.
        self.add_state("index", default=torch.zeros(0, dtype=torch.int64), dist_reduce_fx="cat")
        self.add_state("values", default=torch.zeros(0, dtype=torch.float64), dist_reduce_fx="cat")

    def update(self, values: Tensor, index: Tensor) -> None:
        """Add figures ``(B,)`` of the queries at positions ``index`` ``(B,)``."""
        self.values = torch.cat([self.values, values.double().to(self.values.device)])
        self.index = torch.cat([self.index, index.to(self.index.device)])

    def compute(self) -> Tensor:
        """Return float64 ``(Q,)`` in query order; a query that was seen twice counts once."""
        order = torch.argsort(self.index, stable=True)
        index, values = self.index[order], self.values[order]
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = index[1:] != index[:-1]
        return values[first]
