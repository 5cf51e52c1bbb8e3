"""Train, validate, test or predict: ``python train.py fit --config configs/... --config configs/...``."""

from __future__ import annotations

from lightning import LightningDataModule, LightningModule
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI


class RetPurCLI(LightningCLI):
    """LightningCLI with the suite's defaults."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Set defaults that every run shares; a config or flag overrides them."""
        parser.set_defaults({"seed_everything": 0})


def main(args: ArgsType = None) -> RetPurCLI:
    """Run the command line, or ``args`` in its place."""
    return RetPurCLI(
        model_class=LightningModule,
        datamodule_class=LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_kwargs={"overwrite": True},
        args=args,
    )


if __name__ == "__main__":
    main()
