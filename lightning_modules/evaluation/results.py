"""From per-query figures to one row of ``results.json``, and its files."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_modules.atomic import written_at_once
from lightning_modules.evaluation.intervals import bootstrap_interval
from lightning_modules.evaluation.module import EvaluationModule
from lightning_modules.evaluation.plan import Cell, as_row
from lightning_modules.processes import is_first_process

DISTORTION_COLUMNS = ("linf", "rmse", "mean_rmse", "ssim", "psnr")


def result_row(module: EvaluationModule, chance: dict[str, float], seed: int) -> dict[str, Any]:
    """Sum up a finished cell.

    Args:
        module: after its test loop.
        chance: ``map``, ``t_map`` and their other conventions of a random ranking.
        seed: the evaluation's seed.

    Returns:
        the row: names, MAP and T-MAP with 95 % bootstrap intervals over queries (T-MAP is None where the attack is
        untargeted); MAP and T-MAP of the codes that the attack steers to, where it was crafted (``anchor_map``,
        ``anchor_t_map``: its own bounds, None without such codes); chance levels; what the attack changed, see
        :func:`_distortion`; the root mean squared change of the defended image (against the original too); the mean
        number of bits that differ from the clean picture's code; what the attacker knows of the defence, the defence's
        options and strength; number of queries, seed; the seconds that its stages took when they were computed, and
        those of the attack and of the defence per image; of a cross-modal
        hasher also MAP and T-MAP of its directions.
    """
    figures = module.results
    row = as_row(module.cell)
    for name in ("map", "t_map"):
        row |= _with_interval(name, figures[name], seed)
    for name, value in chance.items():
        unmeant = name.startswith("t_map") and row["t_map"] is None
        row[f"chance_{name}"] = None if unmeant else value
    for name in ("anchor_map", "anchor_t_map"):
        row[name] = _mean_or_none(figures[name])
    for name in module.scorer.names:
        row |= _with_interval(name, figures[name], seed)
    row |= _distortion(figures) if module.attack is not None else dict.fromkeys(DISTORTION_COLUMNS)
    row["defended_rmse"] = float(figures["defended_mse"].mean()) ** 0.5 if module.defence is not None else None
    changed = module.attack is not None or module.defence is not None
    row["bits_flipped"] = float(figures["flipped"].sum(dim=1).mean()) if changed else None
    row["threat"] = _threat(module)
    row["defence_options"], row["defence_facts"] = _defence(module)
    row["num_queries"], row["seed"] = len(figures["map"]), seed
    row["seconds"] = round(sum(stage.record().seconds for stage in module.stages), 3)
    for name, stage in (("attack", module.attack_stage), ("defence", module.defence_stage)):
        row[f"seconds_{name}"] = None if stage is None else stage.record().seconds / row["num_queries"]
    return row


def _threat(module: EvaluationModule) -> str | None:
    """Say what an attacker knows of the defence; None without attack."""
    if module.attack is None:
        return None
    return "oblivious" if module.surrogate is None else f"adaptive, {module.draws} draws per gradient"


def _defence(module: EvaluationModule) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the options of the defence, and what it says of itself for pictures of this size."""
    if module.defence is None:
        return {}, {}
    size = module.context.data.pixels.size
    return module.defence.spec["init_args"], module.defence.facts(size, size)


def failure_row(cell: Cell, error: Exception, seed: int) -> dict[str, Any]:
    """Record a cell that failed, with its traceback."""
    trace = "".join(traceback.format_exception(error))
    return as_row(cell) | {"seed": seed, "error": f"{type(error).__name__}: {error}", "traceback": trace}


class ResultFiles:
    """``results.jsonl`` while an evaluation runs, ``results.json`` at its end; the first process writes.

    Args:
        folder: where they are written; files of an earlier run stay until the first cell is done.
        name: another name than ``results``.
    """

    def __init__(self, folder: Path, name: str = "results") -> None:
        self.folder, self.name = folder, name
        self.rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """Append one row to ``results.jsonl``."""
        mode = "a" if self.rows else "w"
        self.rows.append(row)
        if not is_first_process():
            return
        with (self.folder / f"{self.name}.jsonl").open(mode) as file:
            file.write(json.dumps(row) + "\n")

    def finish(self) -> None:
        """Write ``results.json``, replacing that of an earlier run in one step."""
        if not is_first_process():
            return
        with written_at_once(self.folder / f"{self.name}.json") as file:
            file.write(json.dumps(self.rows, indent=1) + "\n")


def _distortion(figures: dict[str, Tensor]) -> dict[str, float | None]:
    """Sum up what an attack changed.

    Returns:
        ``linf``: largest change of any image in units of 1/255; ``rmse``: perceptibility as ProS-GAN and TA-DCH define
        it, the root of the mean over all images' squared change; ``mean_rmse``: the mean of each image's root mean
        squared change, never larger; ``ssim`` and ``psnr``: means over images. An image that was not changed has no
        PSNR.
    """
    finite = figures["psnr"][figures["psnr"].isfinite()]
    return {
        "linf": float(figures["linf"].max()) * 255,
        "rmse": float(figures["mse"].mean()) ** 0.5,
        "mean_rmse": float(figures["mse"].sqrt().mean()),
        "ssim": float(figures["ssim"].mean()),
        "psnr": float(finite.mean()) if len(finite) else None,
    }


def _with_interval(name: str, values: Tensor, seed: int) -> dict[str, float | None]:
    """Return mean and bounds, all None where the figure has no meaning."""
    mean = _mean_or_none(values)
    low, high = (None, None) if mean is None else bootstrap_interval(values.numpy(), seed=seed)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _mean_or_none(values: Tensor) -> float | None:
    mean = float(values.mean())
    return None if mean != mean else mean
