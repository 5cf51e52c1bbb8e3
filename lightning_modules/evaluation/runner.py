"""Runs a plan: one Trainer.test per cell over the cached stages.

A killed run resumes where it stopped: ``store.py`` keeps what is finished, ``shards.py`` leaves it out of the queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning import Trainer

from lightning_modules.evaluation.chance import chance_levels
from lightning_modules.evaluation.context import HasherContext, make_context
from lightning_modules.evaluation.hashers import LoadedHasher, cell_stages, load_for_evaluation
from lightning_modules.evaluation.module import EvaluationModule
from lightning_modules.evaluation.part import Part
from lightning_modules.evaluation.plan import Cell, EvaluationPlan
from lightning_modules.evaluation.results import ResultFiles, failure_row, result_row
from lightning_modules.evaluation.shards import ShardSampler, busy_shards, shard_loader
from lightning_modules.evaluation.stages import CellStages
from lightning_modules.evaluation.store import ArtifactStore
from lightning_modules.processes import advise_on_failure, decided_by_first_process, is_first_process, process_count
from lightning_modules.store_files import StoreFiles

TrainerFactory = Callable[[Cell | None], Trainer]
WHOLE = Part()


class Evaluation:
    """An evaluation plan in execution.

    Args:
        plan: what to compute.
        trainer: makes the Trainer of a cell, or (None) of a database.
    """

    def __init__(self, plan: EvaluationPlan, trainer: TrainerFactory) -> None:
        self.plan, self._trainer = plan, trainer
        self.folder = Path(plan.output)
        self.store = ArtifactStore(plan.store or str(self.folder / "store"))
        self.hashers: dict[str, LoadedHasher] = {}
        self.contexts: dict[str, HasherContext] = {}
        self.modules: dict[Cell, EvaluationModule] = {}
        self._chances: dict[str, dict[str, float]] = {}

    def load(self) -> None:
        """Set up data and load hashers; whatever is wrong with them is said before any work."""
        for data in self.plan.datasets.values():
            data.prepare_data()
            data.setup("test")
        for name, hasher in self.plan.hashers.items():
            data = self.plan.datasets[hasher.dataset]
            self.hashers[name] = load_for_evaluation(self.plan, name, data, self.store)
        for cell in self.plan.cells():
            attack = self.plan.attack(cell.attack, cell.source_hasher)
            if attack is not None:
                attack.check(self.hashers[cell.source_hasher].victim_facts)

    def prepare(self) -> None:
        """Load everything, hash databases and draw targets."""
        StoreFiles(str(self.folder)).check_writable("output folder")
        self.store.check_writable()
        self.load()
        for name, hasher in self.hashers.items():
            self.contexts[name] = make_context(self.plan, hasher, lambda: self._trainer(None))

    def stages(self, cell: Cell) -> CellStages:
        """Return the stages of one cell; nothing has to be computed for that."""
        hashers = self.hashers[cell.hasher], self.hashers[cell.source_hasher]
        return cell_stages(*hashers, **self._parts(cell))

    def module(self, cell: Cell) -> EvaluationModule:
        """Build the module of one cell."""
        contexts = self.contexts[cell.hasher], self.contexts[cell.source_hasher]
        return EvaluationModule(cell, *contexts, **self._parts(cell), cutoff=self.plan.cutoff)

    def _parts(self, cell: Cell) -> dict[str, Any]:
        plan = self.plan
        return {
            "attack": plan.attack(cell.attack, cell.source_hasher),
            "defence": plan.defences.get(cell.defence),
            "seed": plan.seed,
            "through": plan.through(cell.attack),
        }

    def run(self, part: Part = WHOLE) -> list[dict[str, Any]]:
        """Evaluate cells; one that fails is recorded and the others go on.

        Machines that share a store may take a part of the cells each. The one that ends last finds the stages of all
        others in the store and goes on to the whole table.

        Args:
            part: which cells to evaluate.

        Returns:
            the rows of all cells, in the order of the plan, which are also in ``results.json``; or, as long as other
            machines are at work, those of the part.

        Raises:
            ValueError: more parts than cells.
        """
        cells = self.plan.cells()
        own = part.of(cells)
        self.prepare()
        rows = self._rows(own, ResultFiles(self.folder, part.file_name), {})
        others = [cell for cell in cells if cell not in rows]
        if others and decided_by_first_process(self._are_stored(others)):
            rows = self._rows(cells, ResultFiles(self.folder), rows)
            self.modules = {cell: self.modules[cell] for cell in cells if cell in self.modules}
        return list(rows.values())

    def _are_stored(self, cells: Sequence[Cell]) -> bool:
        return not any(stage.missing() for cell in cells for stage in self.stages(cell).filled)

    def _rows(
        self, cells: Sequence[Cell], files: ResultFiles, known: Mapping[Cell, dict[str, Any]]
    ) -> dict[Cell, dict[str, Any]]:
        """Evaluate cells, unless their row is known, and write the rows."""
        rows = {}
        for number, cell in enumerate(cells, start=1):
            if cell not in known:
                self._say(f"[{number}/{len(cells)}] {cell.slug}")
            rows[cell] = known[cell] if cell in known else self._row(cell)
            files.add(rows[cell])
        files.finish()
        return rows

    def _row(self, cell: Cell) -> dict[str, Any]:
        try:
            return self._evaluate(cell)
        except Exception as error:
            if process_count() > 1:  # the others wait for this one, and cannot go on without it
                advise_on_failure(cell.slug, error)
                raise
            row = failure_row(cell, error, self.plan.seed)
            self._say(row["traceback"])
            return row

    def _evaluate(self, cell: Cell) -> dict[str, Any]:
        module, context = self.module(cell), self.contexts[cell.hasher]
        trainer = self._trainer(cell)
        count, busy = len(context.queries), busy_shards(module.stages)
        sampler = ShardSampler(count, trainer.global_rank, trainer.world_size, busy=busy)
        trainer.test(module, shard_loader(context.queries, sampler), verbose=False)
        trainer.strategy.barrier()
        if is_first_process():
            for stage in module.stages:
                stage.finish()
        self.modules[cell] = module
        return result_row(module, self._chance(context), self.plan.seed)

    @staticmethod
    def _say(text: str) -> None:
        if is_first_process():
            print(text, flush=True)

    def _chance(self, context: HasherContext) -> dict[str, float]:
        if context.name not in self._chances:
            labels = context.query_labels, context.targets, context.database.labels
            self._chances[context.name] = chance_levels(*labels, self.plan.cutoff)
        return self._chances[context.name]
