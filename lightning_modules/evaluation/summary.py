"""What stands at the end of an evaluation: the printed table and the report."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightning_modules.evaluation.paper import compare
from lightning_modules.evaluation.projector import write_projector
from lightning_modules.evaluation.report import Report, row_key, write_report
from lightning_modules.evaluation.report.model import attack_label
from lightning_modules.evaluation.report.paper_table import comparison_text
from lightning_modules.evaluation.report_pictures import report_pictures
from lightning_modules.evaluation.runner import Evaluation

COLUMNS = ("hasher", "attack", "defence", "map", "t_map", "anchor_t_map", "linf", "ssim", "seconds")
DIRECTIONS = ("map_i2t", "t_map_i2t", "map_t2i", "map_t2t")  # of a cross-modal hasher


@rank_zero_only
def write_summary(evaluation: Evaluation, rows: Sequence[dict[str, Any]], command: str, pictures: int) -> None:
    """Print the table, write ``report.html`` and ``report.md``, and the codes for TensorBoard's projector.

    Args:
        evaluation: after :meth:`Evaluation.run`.
        rows: what it returned.
        command: the command that made them, for the report.
        pictures: queries whose pictures are shown.
    """
    print(format_table(rows))
    reference = evaluation.plan.paper
    comparisons = [] if reference is None else compare(rows, reference)
    if comparisons:
        print(f"\nBeside the paper, in percent:\n{comparison_text(comparisons)}\n")
    for title, note in evaluation.plan.notes.items():
        print(f"{title}: {note}")
    good = [row for row in rows if "error" not in row]
    if good:
        strips, retrieval, trajectory = report_pictures(evaluation, pictures)
        plan = evaluation.plan
        report = Report(
            title=plan.name,
            rows=good,
            curves=_curves(evaluation, good),
            strips=strips,
            flips=_flips(evaluation, good),
            retrieval=retrieval,
            trajectory=trajectory,
            facts=_facts(evaluation, command),
            summary=plan.summary,
            comparisons=comparisons,
        )
        for path in write_report(report, evaluation.folder):
            print(path)
        write_projector(evaluation, evaluation.folder / "tensorboard")
    print(f"tensorboard --logdir {evaluation.folder / 'tensorboard'} --samples_per_plugin images=100")


@rank_zero_only
def write_part(rows: Sequence[dict[str, Any]], total: int) -> None:
    """Print the rows of one machine, and how the report of all ``total`` cells comes about."""
    print(format_table(rows))
    print(
        f"{len(rows)} of {total} cells; the rest is missing in the store. Who ends last writes the report, or later "
        "evaluate.py without --only."
    )


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay out rows for a terminal."""
    shown = [name for name in DIRECTIONS if any(name in row for row in rows)]
    columns = [*COLUMNS[:5], *shown, *COLUMNS[5:]]
    table = [columns]
    for row in ({**row, "attack": attack_label(row)} for row in rows):
        if "error" in row:
            table.append([row["hasher"], row["attack"], row["defence"], "failed: " + row["error"].splitlines()[0]])
        else:
            table.append([_cell(row.get(name)) for name in columns])
    width = [max(len(line[i]) for line in table if i < len(line) - ("failed" in line[-1])) for i in range(len(columns))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, width, strict=False)) for line in table)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
        case _:
            return str(value)


def _curves(evaluation: Evaluation, rows: Sequence[dict[str, Any]]) -> dict[Any, Any]:
    curves = {}
    for module, row in zip(evaluation.modules.values(), rows, strict=True):
        recall, precision = (module.results[name].nanmean(dim=0).numpy() for name in ("recall", "precision"))
        drawn = precision == precision  # NaN: no query has anything within that radius
        curves[row_key(row)] = (recall[drawn], precision[drawn])
    return curves


def _flips(evaluation: Evaluation, rows: Sequence[dict[str, Any]]) -> dict[Any, Any]:
    """Return the share of queries in which each bit differs from the clean code, of all but the clean rows."""
    pairs = zip(evaluation.modules.values(), rows, strict=True)
    return {
        row_key(row): module.results["flipped"].mean(dim=0).numpy()
        for module, row in pairs
        if row["bits_flipped"] is not None
    }


def _facts(evaluation: Evaluation, command: str) -> dict[str, str]:
    plan = evaluation.plan
    facts = {"Command": command, **plan.notes}
    for name, module in plan.datasets.items():
        data: Any = module
        facts[f"Data {name}"] = (
            f"fingerprint {data.fingerprint[:16]}, {len(data.rows('database'))} in the database, "
            f"{data.num_classes} classes, split {plan.split!r}"
        )
    for name, context in evaluation.contexts.items():
        facts[f"Hasher {name}"] = f"{context.encoder.num_bits} bits, weights {context.digest[:16]}"
    trained = {f"{a}, {h}": part for h, entry in plan.hashers.items() for a, part in entry.attacks.items()}
    for kind, axis in (("Attack", {**plan.attacks, **trained}), ("Defence", plan.defences)):
        for name, part in axis.items():
            facts[f"{kind} {name}"] = f"{part.spec['class_path']} {part.spec['init_args']}"
    targets = plan.targets
    facts["Targets"] = (
        f"pool {targets.pool} (more than {targets.min_count} items), exclude {targets.exclude}, seed {targets.seed}"
    )
    facts["MAP and T-MAP"] = (
        "mean average precision over the whole database; relevant = shares a class; ties: expectation over "
        "random order; T-MAP takes the target label for the query's; 95 % bootstrap intervals over queries"
    )
    facts["Seed"] = str(plan.seed)
    packages = ("torch", "lightning", "torchmetrics", "diffusers", "timm")
    facts["Versions"] = f"Python {platform.python_version()}, " + ", ".join(f"{p} {version(p)}" for p in packages)
    return facts
