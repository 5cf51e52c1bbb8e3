"""Train, validate, test or predict: ``python train.py fit --config configs/... --config configs/...``."""

from __future__ import annotations

import sys
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from lightning_modules.arguments import nulls_as_configs


class SaveRunConfig(SaveConfigCallback):
    """Keeps the configuration of a run in its folder; a prediction has none, and would leave it where it was called."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save it, unless the stage is ``predict``."""
        if stage != "predict":
            super().setup(trainer, pl_module, stage)


class RetPurCLI(LightningCLI):
    """LightningCLI over the suite's modules and data modules, with a fixed default seed."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--out``: where a module writes results is where its data module finds those that are done."""
        parser.add_argument("--out", type=str | None, default=None, help="predict: folder for cleaned pictures")
        for target in ("model.init_args.out", "data.init_args.done"):  # of no effect on classes without them
            parser.link_arguments("out", target)

    def before_instantiate_classes(self) -> None:
        """Refuse ``--out`` for a module that writes nothing."""
        options = self.config if self.subcommand is None else self.config[self.subcommand]
        if options.out is not None and "out" not in options.model.init_args:
            self.parser.error(f"--out {options.out}: {options.model.class_path} writes no pictures")

    def after_predict(self) -> None:
        """End with a message, and status 1, if the module had to skip items."""
        skipped: list[str] = getattr(self.model, "skipped", [])
        if skipped:
            sys.exit(f"{len(skipped)} skipped:" + "".join(f"\n  {one}" for one in skipped))


def main(args: ArgsType = None, run: bool = True) -> RetPurCLI:
    """Run the command line.

    Args:
        args: arguments in place of those of the process.
        run: False only builds the objects that a configuration (without sub-command) describes.
    """
    if args is None:
        sys.argv[1:] = nulls_as_configs(sys.argv[1:])  # Lightning warns of arguments that are handed over beside these
    options: dict[str, Any] = {"overwrite": True}
    return RetPurCLI(
        model_class=LightningModule,
        datamodule_class=LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        save_config_callback=SaveRunConfig,
        save_config_kwargs=options,
        args=nulls_as_configs(args) if isinstance(args, list) else args,
        run=run,
    )


if __name__ == "__main__":
    main()
