"""CellSummary: the figures and curves of a cell, and its place on TensorBoard's HParams page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from callbacks.logging import writer

MOST_THRESHOLDS = 127  # of a curve, in TensorBoard


class CellSummary(Callback):
    """Logs the hyper-parameters of a cell with MAP and T-MAP as their metrics, and its curves.

    Data set, hasher, attack and defence are the hyper-parameters; precision and recall within each Hamming radius
    are scalars whose step is the radius, and one curve on TensorBoard's page of them.
    """

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the summary of the finished cell."""
        module: Any = pl_module
        means = {f"hp/{name}": float(module.results[name].mean()) for name in ("map", "t_map")}
        figures = {name: mean for name, mean in means.items() if mean == mean}  # an untargeted attack has no T-MAP
        board = writer(trainer)
        if board is not None:
            for name in ("precision", "recall"):
                for radius, value in enumerate(module.results[name].nanmean(dim=0).tolist()):
                    board.add_scalar(f"within_radius/{name}", value, radius)
            curve = curve_of_radii(module.results)
            board.add_pr_curve_raw("retrieval", *curve, num_thresholds=len(curve[0]))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(asdict(module.cell), figures)


def curve_of_radii(results: dict[str, Tensor]) -> list[Tensor]:
    """Say what lies within each Hamming radius as TensorBoard says what lies above each threshold.

    Its thresholds ascend, hence the widest radius comes first; radii within which no query finds anything are left out.

    Args:
        results: ``precision``, ``recall`` and ``retrieved``, items within the radius, each ``(Q, K + 1)`` over radii
            0 to K; precision is NaN where nothing is retrieved.

    Returns:
        true positives, false positives, true negatives and false negatives, summed over queries, then precision and
        recall, means over queries; ``(n,)`` each, n at most 127.
    """
    retrieved = results["retrieved"]
    hits = results["precision"].nan_to_num() * retrieved
    relevant, total = hits[:, -1:], retrieved[:, -1:]  # within radius K lies the whole database
    true_positive, false_positive = hits.sum(dim=0), (retrieved - hits).sum(dim=0)
    false_negative = (relevant - hits).sum(dim=0)
    true_negative = (total - relevant).sum() - false_positive
    means = [results[name].nanmean(dim=0) for name in ("precision", "recall")]
    drawn = (retrieved.sum(dim=0) > 0).nonzero().flatten().flip(0)
    if len(drawn) > MOST_THRESHOLDS:
        drawn = drawn[torch.linspace(0, len(drawn) - 1, MOST_THRESHOLDS).round().long()]
    return [one[drawn] for one in (true_positive, false_positive, true_negative, false_negative, *means)]
