"""Target labels: one seeded list per data set, shared by every attack and every row of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lightning_modules.randomness import sample_numpy_generator

TargetPool = Literal["unique", "counted", "rows"]
Exclusion = Literal["none", "same", "overlap"]


def draw_targets(
    query_labels: Tensor,
    query_ids: Sequence[str],
    database_labels: Tensor,
    pool: TargetPool = "counted",
    min_count: int = 9,
    exclude: Exclusion = "none",
    drop_empty: bool = True,
    seed: int = 0,
) -> Tensor:
    """Draw a target label for each query; a query's target depends on its id and the seed only.

    Args:
        query_labels: uint8 ``(Q, C)``.
        query_ids: ``Q`` sample ids.
        database_labels: uint8 ``(N, C)``.
        pool: ``unique`` draws uniformly from the label combinations of the database (ProS-GAN), ``counted``
            from those that more than ``min_count`` items carry (P2P and DHTA), ``rows`` from database items,
            so that frequent combinations come up more often (TA-DCH).
        min_count: for ``counted``; the number of items that vote for an anchor.
        exclude: ``none`` allows any target (ProS-GAN), ``same`` not the query's own label (DHTA), ``overlap``
            none that shares a class with it (THA).
        drop_empty: leave out the all-zero label, which nothing can retrieve.
        seed: seed of the list.

    Returns:
        uint8 ``(Q, C)``.

    Raises:
        ValueError: unknown option, or no target is left for a query.
    """
    candidates = target_pool(database_labels, pool, min_count, drop_empty).numpy()
    return torch.from_numpy(candidates[_choices(candidates, query_labels, query_ids, exclude, seed)])


def draw_target_rows(
    query_labels: Tensor,
    query_ids: Sequence[str],
    database_labels: Tensor,
    exclude: Exclusion = "none",
    drop_empty: bool = True,
    seed: int = 0,
) -> Tensor:
    """Draw a database item for each query, whose label and text are the target (TA-DCH).

    Args:
        query_labels: uint8 ``(Q, C)``.
        query_ids: ``Q`` sample ids.
        database_labels: uint8 ``(N, C)``.
        exclude: as for :func:`draw_targets`.
        drop_empty: leave out items without a label.
        seed: seed of the list.

    Returns:
        int64 ``(Q,)``, rows of the database; their labels are what the pool ``rows`` of :func:`draw_targets` gives.

    Raises:
        ValueError: unknown option, or no target is left for a query.
    """
    labels = database_labels.cpu().numpy().astype(np.uint8)
    rows = np.flatnonzero(labels.any(axis=1) | (not drop_empty))
    candidates = target_pool(database_labels, "rows", drop_empty=drop_empty).numpy()
    return torch.from_numpy(rows[_choices(candidates, query_labels, query_ids, exclude, seed)])


def target_pool(labels: Tensor, pool: TargetPool = "counted", min_count: int = 9, drop_empty: bool = True) -> Tensor:
    """List the labels that targets are drawn from; see :func:`draw_targets` for the options.

    Args:
        labels: uint8 ``(N, C)``, those of the database.
        pool: kind of the pool.
        min_count: for ``counted``.
        drop_empty: leave out the all-zero label.

    Returns:
        uint8 ``(T, C)``: ascending combinations, or the rows as they are for the pool ``rows``.

    Raises:
        ValueError: unknown pool, or an empty one.
    """
    return torch.from_numpy(_pool(labels.cpu().numpy().astype(np.uint8), pool, min_count, drop_empty))


def _pool(labels: np.ndarray, pool: TargetPool, min_count: int, drop_empty: bool) -> np.ndarray:
    unique, counts = np.unique(labels, axis=0, return_counts=True)
    match pool:
        case "unique":
            found = unique
        case "counted":
            found = unique[counts > min_count]
        case "rows":
            found = labels
        case _:
            raise ValueError(f"pool={pool!r}: expected 'unique', 'counted' or 'rows'")
    if drop_empty:
        found = found[found.any(axis=1)]
    if len(found) == 0:
        if pool == "counted":
            raise ValueError(f"the target pool 'counted' (min_count={min_count}) is empty: lower min_count")
        raise ValueError(f"the target pool {pool!r} is empty: no item of the database carries a class")
    return found


def _choices(
    candidates: np.ndarray, query_labels: Tensor, query_ids: Sequence[str], exclude: Exclusion, seed: int
) -> np.ndarray:
    labels = query_labels.cpu().numpy().astype(np.uint8)
    pairs = zip(labels, query_ids, strict=True)
    return np.array([_choose(candidates, label, sample_id, exclude, seed) for label, sample_id in pairs], np.int64)


def _choose(candidates: np.ndarray, label: np.ndarray, sample_id: str, exclude: Exclusion, seed: int) -> int:
    match exclude:
        case "none":
            allowed = np.arange(len(candidates))
        case "same":
            allowed = np.flatnonzero((candidates != label).any(axis=1))
        case "overlap":
            allowed = np.flatnonzero(~(candidates & label).any(axis=1))
        case _:
            raise ValueError(f"exclude={exclude!r}: expected 'none', 'same' or 'overlap'")
    if len(allowed) == 0:
        raise ValueError(f"query {sample_id!r}: exclude={exclude!r} leaves no target; use a weaker exclusion")
    return int(allowed[sample_numpy_generator(seed, "target", sample_id).integers(len(allowed))])
