"""DADH's triplets between two modalities, weighted by how many classes anchor and positive share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SLACK = 1.1  # 1 + the 0.1 that the published training adds to beta


def gain_weights(labels: Tensor, guard: bool = True) -> Tensor:
    r"""Return ``(2^s_{ap} - 1) / Z_a``, the gain of every positive over the anchor's ideal DCG in the batch.

    Args:
        labels: ``(b, C)`` in {0, 1}.
        guard: an anchor without classes, whose Z is zero, weighs nothing; otherwise its row is NaN, as published.

    Returns:
        float ``(b, b)``, rows are anchors.
    """
    shared = labels.float() @ labels.float().T
    gain = torch.exp2(shared) - 1
    ranks = torch.arange(2, len(labels) + 2, device=labels.device, dtype=gain.dtype)
    ideal = (gain.sort(dim=1, descending=True).values / torch.log2(ranks)).sum(dim=1, keepdim=True)
    if not guard:
        return gain / ideal
    return torch.where(ideal > 0, gain / ideal.clamp(min=1e-6), 0.0)


def cosine_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return ``max(0, 1 - cos)`` of all pairs of rows, ``(b, n)``."""
    return (1 - F.normalize(first, dim=1) @ F.normalize(second, dim=1).T).clamp(min=0)


def triplet_losses(
    anchors: Tensor, others: Tensor, labels: Tensor, margin: float = 0.4, weighted: bool = True, guard: bool = True
) -> Tensor:
    r"""Sum over all triplets of each anchor with items of the other modality.

    .. math:: \sum_{p, n} \max(0,\ 10\, w_{ap}\, m\, (d_{ap} - d_{an} + \mathrm{margin}))

    over positives p, which share a class with the anchor (its own pair does, if it has any), and negatives n, which
    share none; ``w = 1.1 (2^s - 1)/Z_a``, ``m = 1.1``.

    Args:
        anchors: codes ``(b, K)`` of one modality.
        others: codes ``(b, K)`` of the other one, of the same items.
        labels: ``(b, C)`` in {0, 1}.
        margin: 0.4 in the published code; its "adaptive margin" is the weight.
        weighted: False drops the factor 10 and w, as the published code does for any alpha but 10.
        guard: see :func:`gain_weights`.

    Returns:
        float ``(b,)``.
    """
    positive = (labels.float() @ labels.float().T > 0).float()
    weight = 10 * SLACK * SLACK * gain_weights(labels, guard) if weighted else torch.full_like(positive, SLACK)
    distances = cosine_distances(anchors, others)
    violations = (distances[:, :, None] - distances[:, None, :] + margin).clamp(min=0)
    valid = (weight * positive).to(violations), (1 - positive).to(violations)
    return torch.einsum("ap,apn,an->a", valid[0], violations, valid[1])
