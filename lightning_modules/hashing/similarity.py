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


def jaccard(labels: Tensor, other: Tensor) -> Tensor:
    """Return the number of common classes over the number of classes of either, 0 where neither has one.

    Args:
        labels: ``(b, C)`` in {0, 1}.
        other: ``(N, C)`` in {0, 1}.

    Returns:
        float32 ``(b, N)`` in [0, 1].
    """
    common = labels.float() @ other.float().T
    union = labels.float().sum(dim=1, keepdim=True) + other.float().sum(dim=1) - common
    return common / union.clamp_min(1)
