"""Pairwise similarity of multi-hot labels."""

from __future__ import annotations

from torch import Tensor


def share_a_class(labels: Tensor, other: Tensor) -> Tensor:
    """Return ``S_ij = 1`` where two label vectors share at least one class, else 0.

    Args:
        labels: ``(b, C)`` in {0, 1}.
        other: ``(N, C)`` in {0, 1}.

    Returns:
        float32 ``(b, N)`` in {0, 1}.
    """
    return (labels.float() @ other.float().T > 0).float()
