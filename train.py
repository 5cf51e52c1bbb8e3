"""Train, validate, test or predict: ``python train.py fit --config configs/... --config configs/...``."""

from __future__ import annotations

from typing import Any

from lightning import LightningDataModule, LightningModule
from lightning.pytorch.cli import ArgsType, LightningCLI


class RetPurCLI(LightningCLI):
    """LightningCLI over the suite's modules and data modules, with a fixed default seed."""


def main(args: ArgsType = None, run: bool = True) -> RetPurCLI:
    """Run the command line.

    Args:
        args: arguments in place of those of the process.
        run: False only builds the objects that a configuration (without sub-command) describes.
    """
    options: dict[str, Any] = {"overwrite": True}
    return RetPurCLI(
        model_class=LightningModule,
        datamodule_class=LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        seed_everything_default=0,
        save_config_kwargs=options,
        args=args,
        run=run,
    )


if __name__ == "__main__":
    main()
