"""Anchor codes: the code that stands for a target label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_modules.randomness import sample_numpy_generator
from lightning_modules.types import CodeBook, binarize


def voting_anchor(
    label: Tensor, ids: Sequence[str], knowledge: CodeBook, num_items: int, seed: int, replacement: bool = True
) -> Tensor:
    """Component-wise vote over the codes of items whose label equals the target label exactly.

    DHTA's anchor (Bai et al., ECCV 2020, eq. 6): ``h_a = sign(sum of n_t codes)``; ``num_items = 1`` is P2P.
    A tie of an even number of items becomes +1.

    Args:
        label: uint8 ``(B, C)`` target labels.
        ids: ids of the attacked queries, which seed the choice of items.
        knowledge: codes and labels to draw from.
        num_items: n_t.
        seed: the experiment's seed.
        replacement: draw items with replacement, as the ProS-GAN repository does.

    Returns:
        int8 ``(B, K)`` in {-1, +1}.

    Raises:
        ValueError: no item carries a target label, or too few do to draw without replacement.
    """
    known = _rows_by_label(knowledge.labels)
    anchors = []
    for one, sample_id in zip(label, ids, strict=True):
        rows = known.get(_key(one))
        if rows is None or (not replacement and len(rows) < num_items):
            count = 0 if rows is None else len(rows)
            raise ValueError(
                f"query {sample_id!r}: {count} items carry its target label exactly, {num_items} are needed; "
                "draw targets from the pool 'counted'"
            )
        choice = sample_numpy_generator(seed, "anchor", sample_id).choice(rows, num_items, replace=replacement)
        votes = knowledge.codes[torch.from_numpy(choice)].to(torch.int32).sum(dim=0)
        anchors.append(binarize(votes))
    return torch.stack(anchors)


def _key(label: Tensor) -> bytes:
    return label.to(torch.uint8).cpu().numpy().tobytes()


def _rows_by_label(labels: Tensor) -> dict[bytes, np.ndarray]:
    table = labels.to(torch.uint8).cpu().numpy()
    unique, inverse = np.unique(table, axis=0, return_inverse=True)
    order = np.argsort(inverse.reshape(-1), kind="stable")
    bounds = np.cumsum(np.bincount(inverse.reshape(-1), minlength=len(unique)))
    return {one.tobytes(): rows for one, rows in zip(unique, np.split(order, bounds[:-1]), strict=True)}
