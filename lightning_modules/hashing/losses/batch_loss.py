"""BatchLoss: compares the items of one batch with each other, those of all processes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from lightning_modules.hashing.gather import gather_rows
from lightning_modules.hashing.losses.base import HashingLoss
from lightning_modules.types import Batch


class BatchLoss(HashingLoss):
    """A loss of a whole batch; under DDP the batch is that of all processes together."""

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """See :meth:`HashingLoss.forward`; uses the image codes."""
        everything, own = gather_rows(codes["image"].float(), dim=-2)
        labels, _ = gather_rows(batch.label)
        return self.of_batch(everything, labels)[own]

    @abstractmethod
    def of_batch(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of every item of a batch.

        Args:
            codes: float32 ``(B, K)``, or ``(V, B, K)`` of a loss with several views.
            labels: uint8 ``(B, C)``.

        Returns:
            float32 ``(B,)``.
        """


def mean_over_others(values: Tensor) -> Tensor:
    """Mean of every row of ``(B, B)`` pair values without its diagonal, ``(B,)``; 0 for a batch of one."""
    return (values.sum(dim=1) - values.diagonal()) / max(len(values) - 1, 1)
