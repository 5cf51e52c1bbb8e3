"""Binary class centres, far from each other, and the centre of an item with several classes (CSQ, OrthoHash)."""

from __future__ import annotations

import torch
from scipy.linalg import hadamard
from torch import Tensor

TRIALS = 20


def hash_centres(num_classes: int, num_bits: int, seed: int = 0) -> Tensor:
    """Choose one centre per class (Yuan et al., CVPR 2020, Algorithm 1).

    If K is a power of two and C <= 2K, they are the first rows of a Hadamard matrix and of its negative: K/2 bits
    apart, K for opposite rows. Otherwise half of the bits of each centre, drawn at random, are +1; of 20 such draws the
    one whose closest centres are furthest apart is kept.

    Args:
        num_classes: C.
        num_bits: K.
        seed: of the draws.

    Returns:
        float32 ``(C, K)`` in {-1, +1}.
    """
    if num_bits & (num_bits - 1) == 0 and num_classes <= 2 * num_bits:
        matrix = torch.from_numpy(hadamard(num_bits)).float()
        return torch.cat([matrix, -matrix])[:num_classes]
    generator = torch.Generator().manual_seed(seed)
    draws = [_balanced_codes(num_classes, num_bits, generator) for _ in range(TRIALS)]
    return max(draws, key=_smallest_distance)


def _balanced_codes(count: int, num_bits: int, generator: torch.Generator) -> Tensor:
    ranks = torch.rand(count, num_bits, generator=generator).argsort(dim=1)
    return torch.where(ranks < num_bits // 2, -1.0, 1.0)


def _smallest_distance(codes: Tensor) -> float:
    products = codes @ codes.T
    products.fill_diagonal_(-codes.shape[1])
    return -float(products.max())


def centre_of_items(labels: Tensor, centres: Tensor, tie_break: Tensor) -> Tensor:
    """Vote of the centres of an item's classes, bit by bit (CSQ, section 3.2).

    Args:
        labels: ``(B, C)`` in {0, 1}.
        centres: ``(C, K)`` in {-1, +1}.
        tie_break: ``(K,)`` in {-1, +1}, taken where as many classes say +1 as -1.

    Returns:
        ``(B, K)`` in {-1, +1}.
    """
    votes = labels.to(centres.dtype) @ centres
    return torch.where(votes == 0, tie_break, votes.sign())
