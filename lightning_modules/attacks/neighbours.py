"""The relevant items of each query, by their codes."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lightning_modules.retrieval.metrics.packing import pack_bits
from lightning_modules.types import AttackGoal, CodeBook


@dataclass(frozen=True)
class Neighbours:
    """Which codes the relevant items of each query have, and how many have each.

    Attributes:
        codes: ``(U, K)`` in {-1, +1}, different codes of all items.
        shares: ``(B, U)``, the share of a query's relevant items that have a code; each row sums to 1.
    """

    codes: Tensor
    shares: Tensor

    @property
    def num_bits(self) -> int:
        """Code length K."""
        return self.codes.shape[1]

    def to(self, like: Tensor) -> Neighbours:
        """Return them in the type and on the device of a tensor."""
        return Neighbours(self.codes.to(like), self.shares.to(like))


def find_neighbours(goal: AttackGoal, book: CodeBook, own: Tensor | None = None) -> Neighbours:
    """Find the items that share a class with each label.

    Args:
        goal: labels ``(B, C)``, and ids for the message.
        book: codes and labels of known items.
        own: ``(B, K)`` in {-1, +1}: stands in where no item shares a class.

    Raises:
        ValueError: nothing shares a class with a label and there is no code to stand in.
    """
    relevant = (goal.label.float().cpu() @ book.labels.float().cpu().T) > 0
    codes, place = different_codes(book.codes.cpu())
    counts = torch.zeros(len(relevant), len(codes), dtype=torch.float64)
    counts.scatter_add_(1, place.expand(len(relevant), -1), relevant.double())
    lonely = (~relevant.any(dim=1)).nonzero().flatten()
    if len(lonely):
        if own is None:
            name = goal.ids[lonely[0]] if goal.ids else int(lonely[0])
            raise ValueError(f"query {name!r}: no known item shares a class with its target label")
        codes = torch.cat([codes, own[lonely].cpu()])
        stand_in = torch.zeros(len(relevant), len(lonely), dtype=torch.float64)
        stand_in[lonely, torch.arange(len(lonely))] = 1
        counts = torch.cat([counts, stand_in], dim=1)
    return Neighbours(codes, counts / counts.sum(dim=1, keepdim=True))


def different_codes(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Find the different codes: ``codes.unique(dim=0, return_inverse=True)``, which sorts rows and not words.

    Args:
        codes: int8 ``(N, K)`` in {-1, +1} on the CPU.

    Returns:
        the different codes ``(U, K)`` in lexicographic order, and int64 ``(N,)``, the place of each row among them.
    """
    words = pack_bits(codes).words
    words = words.byteswap() if sys.byteorder == "little" else words  # the first bit is then the highest
    order = np.lexsort(words[::-1])
    ordered = words[:, order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)
    place = np.empty(len(order), np.int64)
    place[order] = first.cumsum() - 1
    return codes[torch.from_numpy(order[first])], torch.from_numpy(place)
