"""Evaluate a plan of cells: ``python evaluate.py --config configs/evaluation/demo.yaml``.

Every cell (data set x hasher x attack x defence) is one ``Trainer.test`` over cached stages. A killed run
goes on where it stopped. Results, report and TensorBoard logs are written below the plan's ``output``.

``python evaluate.py export --config PLAN --hasher NAME --out FOLDER`` writes the database of one hasher of a plan for
other systems: packed codes, ids and metadata, and its image encoder as a program of ``torch.export``.
"""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from callbacks import evaluation_callbacks
from lightning_modules.evaluation.arguments import add_plan, build_plan, merge_configs
from lightning_modules.evaluation.export import Format, chosen_formats, export_hasher
from lightning_modules.evaluation.part import Part
from lightning_modules.evaluation.plan import Cell
from lightning_modules.evaluation.preview import print_preview
from lightning_modules.evaluation.requirements import describe, make, missing_requirements
from lightning_modules.evaluation.runner import Evaluation
from lightning_modules.evaluation.summary import write_part, write_summary
from lightning_modules.processes import advise_on_lost_processes


def make_parser() -> ArgumentParser:
    """Return the parser of an evaluation's command line."""
    parser = ArgumentParser(prog="evaluate.py", description=__doc__)
    parser.add_argument(
        "--dry-run", action="store_true", help="print what is stored and what is to come, compute nothing"
    )
    parser.add_argument("--only", default="1/1", help="i/n: every n-th cell from the i-th, for machines with one store")
    parser.add_argument("--pictures", type=int, default=8, help="queries whose pictures are shown")
    return _with_plan(parser)


def make_export_parser() -> ArgumentParser:
    """Return the parser of the command ``export``."""
    parser = ArgumentParser(prog="evaluate.py export", description="Write the database of one hasher of a plan.")
    parser.add_argument("--hasher", type=str, required=True, help="name of a hasher of the plan")
    parser.add_argument("--out", type=str, required=True, help="folder that is written")
    parser.add_argument("--formats", type=list[Format] | None, default=None, help="default: all that are installed")
    return _with_plan(parser)


def _with_plan(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("--train-missing", action="store_true", help="first run the commands of what is missing")
    parser.add_argument("--trainer.accelerator", type=str, default="auto")
    parser.add_argument("--trainer.devices", type=str, default="1", help="number of devices, or auto")
    parser.add_argument("--trainer.num_nodes", type=int, default=1, help="machines of one run (torchrun, SLURM)")
    parser.add_argument("--trainer.strategy", type=str, default="auto", help="e.g. ddp")
    add_plan(parser)
    return parser


def trainer_factory(options: Namespace, folder: Path, pictures: int) -> Any:
    """Return a function that makes the Trainer of a cell (None: of a database encoding)."""
    devices = int(options.devices) if options.devices.isdigit() else options.devices

    def make(cell: Cell | None) -> Trainer:
        logger = TensorBoardLogger(str(folder / "tensorboard"), name=cell.slug, version="") if cell else False
        return Trainer(
            accelerator=options.accelerator,
            devices=devices,
            num_nodes=options.num_nodes,
            strategy=options.strategy,
            logger=logger,
            callbacks=evaluation_callbacks(pictures) if cell else None,
            inference_mode=False,  # attacks and guidance take gradients inside the test loop
            use_distributed_sampler=False,  # shards are dealt out without repetition by ShardSampler
            enable_checkpointing=False,
            enable_model_summary=False,
        )

    return make


def provide(config: Namespace, train: bool) -> None:
    """See to it that what the plan names is there.

    Args:
        config: parsed arguments of a plan.
        train: run the commands of what is missing.

    Raises:
        SystemExit: something is missing, and is not to be trained; all of it is told.
    """
    if missing := missing_requirements(config.as_dict()):
        if not train:
            sys.exit(describe(missing))
        make(missing)


def export(args: Sequence[str]) -> int:
    """Run the command ``export``; nothing of the plan but the hasher and its data set is made.

    Raises:
        ValueError: the plan has no such hasher.
        ImportError: ``--formats`` names FAISS, which is not installed.
    """
    parser = make_export_parser()
    config = parser.parse_args(merge_configs(args))
    formats = chosen_formats(config.formats)
    if config.hasher not in config.hashers:
        raise ValueError(f"hasher {config.hasher!r}: the plan has {sorted(config.hashers)}")
    _keep_hasher(config)
    provide(config, config.train_missing)
    plan = build_plan(parser, config)
    evaluation = Evaluation(plan, trainer_factory(config.trainer, Path(plan.output), 0))
    export_hasher(evaluation, config.hasher, Path(config.out), formats)
    return 0


def _keep_hasher(config: Namespace) -> None:
    """Take all but one hasher and its data set out of a plan that is not built yet."""
    for axis in ("attacks", "defences", "surrogates", "adaptive"):
        config[axis] = {}
    config.exclude, config.transfer = [], []
    entry = config.hashers[config.hasher]
    entry.attacks = {}
    config.hashers = {config.hasher: entry}
    config.datasets = {name: data for name, data in config.datasets.items() if name == entry.dataset}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 1 if a cell failed."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # not the same greeting for every cell
    parser = make_parser()
    given = sys.argv[1:] if args is None else args
    if list(given[:1]) == ["export"]:
        return export(given[1:])
    config = parser.parse_args(merge_configs(given))
    part = Part.parse(config.only)
    provide(config, config.train_missing and not config.dry_run)
    plan = build_plan(parser, config)
    evaluation = Evaluation(plan, trainer_factory(config.trainer, Path(plan.output), config.pictures))
    if config.dry_run:
        print_preview(evaluation, part)
        return 0
    advise_on_lost_processes()
    rows = evaluation.run(part)
    if len(rows) < len(plan.cells()):
        write_part(rows, len(plan.cells()))
    else:
        write_summary(evaluation, rows, "python evaluate.py " + shlex.join(given), config.pictures)
    return 1 if any("error" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
