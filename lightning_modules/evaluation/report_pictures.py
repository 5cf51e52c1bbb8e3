"""The sample grid of a report: which queries it shows, as strips, ranked lists and one chain of a purification."""

from __future__ import annotations

from typing import Any

from lightning_modules.evaluation.plan import CLEAN
from lightning_modules.evaluation.report.model import CaptionedPicture, RetrievalExample
from lightning_modules.evaluation.runner import Evaluation
from lightning_modules.pictures import Picture
from lightning_modules.query_pictures import can_be_watched, purification_trajectory, query_strip, ranked_lists


def report_pictures(
    evaluation: Evaluation, count: int
) -> tuple[list[CaptionedPicture], list[RetrievalExample], Picture | None]:
    """Make sample strips, retrieval lists and one trajectory from the first shard of stored queries.

    Args:
        evaluation: after its run.
        count: queries per attack; of a transferred one none.

    Returns:
        strips as ``(caption, alt, picture)``, the lists of each query under its caption, and the trajectory or None.
    """
    plan = evaluation.plan
    defence_name = next(iter(plan.defences), CLEAN)
    strips: list[CaptionedPicture] = []
    examples: list[RetrievalExample] = []
    chain: Picture | None = None
    for cell, module in evaluation.modules.items():
        if cell.defence != defence_name or (cell.attack == CLEAN and plan.attack_names):
            continue
        if cell.source_hasher != cell.hasher:
            continue  # its pictures are those of its source
        context = evaluation.contexts[cell.hasher]
        outputs = module.outputs(context.queries[0])
        for row in range(min(count, len(outputs.ids))):
            title = f"{outputs.ids[row]} ({_names(context, outputs, row)}), {cell.attack}, {cell.defence}"
            strips.append((title, f"Original, attacked, defended, differences: {title}", query_strip(outputs, row)))
            if row < max(1, count // 2):
                examples.append((title, _lists(module, outputs, row, cell.defence)))
        if chain is None and can_be_watched(module.defence):
            chain = purification_trajectory(module.defence, outputs.attacked[0], outputs.ids[0])
    return strips, examples, chain


def _lists(module: Any, outputs: Any, row: int, defence: str) -> list[CaptionedPicture]:
    """Return the ranked lists of a query, each told in words too."""
    lists = []
    for found in ranked_lists(module, outputs, row):
        state = f"behind {defence}" if found.state == "defended" else found.state
        alt = f"First {len(found.kinds)} pictures found for {outputs.ids[row]}, {state}: {', '.join(found.kinds)}"
        lists.append((f"{state}: {found.count}", alt, found.picture))
    return lists


def _names(context: Any, outputs: Any, row: int) -> str:
    names = context.data.class_names
    true, target = (
        " + ".join(names[c] for c in labels[row].nonzero().flatten()) for labels in (outputs.label, outputs.target)
    )
    return f"{true or 'no class'}, target {target}" if target else true or "no class"
