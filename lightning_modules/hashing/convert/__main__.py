"""``python -m lightning_modules.hashing.convert dgcpn|dadh FILE MAT OUT --config configs/data/...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from lightning import LightningDataModule, Trainer

from lightning_modules.hashing.convert import Family, read_released
from lightning_modules.hashing.losses import DADH, DGCPN
from lightning_modules.hashing.module import HashingModule


def convert(family: Family, file: str, mat: str, out: str, data: LightningDataModule) -> None:
    """Turn a released network into a checkpoint that an evaluation, ``train.py test`` and fine-tuning take.

    Args:
        family: ``dgcpn`` or ``dadh``: whose layout the file has.
        file: ``DGCPN.pth`` or ``DADH.pth``.
        mat: MatConvNet's ``imagenet-vgg-f.mat``, which has the average image.
        out: checkpoint to write.
        data: the data set that the network was trained on, with its text features.

    Raises:
        ValueError: the network does not fit the layout or the data.
    """
    encoders = read_released(file, family, mat)
    image, text = encoders["image"], encoders["text"]
    loss = DGCPN() if family == "dgcpn" else DADH()
    module = HashingModule(image=image.backbone, text=text.backbone, loss=loss, num_bits=image.num_bits)
    for name, encoder in encoders.items():
        module.encoder(name).load_state_dict(encoder.state_dict())
    data.prepare_data()
    data.setup("fit")
    module.take_facts(data)
    trainer: Any = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", max_epochs=0)
    trainer.strategy.connect(module)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    trainer.save_checkpoint(out, weights_only=True)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 1 if the file cannot be converted."""
    parser = ArgumentParser(prog="python -m lightning_modules.hashing.convert", description=__doc__)
    parser.add_argument(
        "--config", action="config", help="a fragment with the data set, and one with its text features"
    )
    parser.add_function_arguments(convert, skip={"data"}, as_positional=True)
    parser.add_subclass_arguments(LightningDataModule, "data", required=True)
    options = parser.parse_args(args)
    # Newer jsonargparse calls it instantiate, and warns of the older name.
    built = (parser.instantiate if hasattr(parser, "instantiate") else parser.instantiate_classes)(options)
    try:
        convert(built.family, built.file, built.mat, built.out, built.data)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{built.out}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
