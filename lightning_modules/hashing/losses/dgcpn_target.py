"""DGCPN's similarity target: cosines of both modalities, and how alike the neighbourhoods of two items are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 256  # rows at a time


def joint_cosines(image: Tensor, text: Tensor, other_image: Tensor, other_text: Tensor, text_weight: float) -> Tensor:
    """Return ``A = a1 T T'^T + (1 - a1) I I'^T``, ``(b, n)``; a zero vector has cosine 0 with everything.

    Args:
        image: rows of length 1, ``(b, D)``.
        text: rows of length 1, ``(b, d)``.
        other_image: rows of length 1, ``(n, D)``.
        other_text: rows of length 1, ``(n, d)``.
        text_weight: a1.
    """
    return text_weight * text @ other_text.T + (1 - text_weight) * image @ other_image.T


@torch.no_grad()
def neighbour_probabilities(image: Tensor, text: Tensor, text_weight: float, neighbours: int) -> Tensor:
    """Return the probability P of every neighbour of every item.

    Of each row of A the ``N - k`` smallest entries and the largest, the item itself, are set to zero; what is left is
    divided by its sum. Equal entries stay by their place, later ones first. Negative entries, which the published
    features do not have, count zero.

    Args:
        image: float ``(N, D)`` features.
        text: float ``(N, d)`` features.
        text_weight: a1, weight of the text.
        neighbours: k, the item itself included.

    Returns:
        float32 ``(N, N)``, the only thing of that size in memory.
    """
    image, text = F.normalize(image.float(), dim=1), F.normalize(text.float(), dim=1)
    count = len(image)
    found = torch.empty(count, count, device=image.device)
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        similar = joint_cosines(image[rows], text[rows], image, text, text_weight).clamp_(min=0)
        order = similar.argsort(dim=1, stable=True)
        similar.scatter_(1, order[:, : count - neighbours], 0.0)
        similar.scatter_(1, order[:, -1:], 0.0)
        found[rows] = similar / similar.sum(dim=1, keepdim=True).clamp_(min=1e-12)
    return found


def similarity_target(
    image: Tensor, text: Tensor, probabilities: Tensor, text_weight: float, graph_weight: float, scale: float
) -> Tensor:
    """Return ``S = 2 [(1 - a2) A + a2 scale P P^T] - 1`` of some items.

    Args:
        image: float ``(b, D)`` features.
        text: float ``(b, d)`` features.
        probabilities: their rows of P, ``(b, N)``.
        text_weight: a1.
        graph_weight: a2.
        scale: of ``P P^T``.

    Returns:
        float32 ``(b, b)``, symmetric.
    """
    image, text = F.normalize(image.float(), dim=1), F.normalize(text.float(), dim=1)
    cosines = joint_cosines(image, text, image, text, text_weight)
    graph = scale * probabilities @ probabilities.T
    return 2 * ((1 - graph_weight) * cosines + graph_weight * graph) - 1
