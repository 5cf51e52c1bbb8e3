"""Cross-entropy of items with one class, with several, or with none."""

from __future__ import annotations

from torch import Tensor


def soft_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the label vector divided by its sum; 0 for an item without any class.

    Args:
        logits: float ``(B, C)``.
        labels: ``(B, C)`` in {0, 1}.

    Returns:
        float ``(B,)``.
    """
    labels = labels.to(logits.dtype)
    weights = labels / labels.sum(dim=1, keepdim=True).clamp_min(1)
    return -(weights * logits.log_softmax(dim=1)).sum(dim=1)
