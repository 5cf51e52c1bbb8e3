"""The mean of fine-tunings of one network: ``python -m lightning_modules.purification.average A B C --out FOLDER``.

Networks that were fine-tuned from one start, on other items, with other seeds or settings, tend to lie in one basin,
where the mean of their weights does better than each of them and costs no more: the uniform soup of Wortsman et al.,
"Model soups", ICML 2022. Networks that went far from the start, or apart, need not: measure the mean on validation
queries.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser

from lightning_modules.purification.denoiser import Diffusion
from lightning_modules.purification.saving import save_diffusion


def average(folders: Sequence[str]) -> Diffusion:
    """Return the mean of the weights of several diffusion models.

    Args:
        folders: diffusers folders or Hub ids, as of ``Diffusion.from_pretrained``.

    Raises:
        ValueError: fewer than two models, one that cannot be loaded, or models of other networks or schedules.
    """
    if len(folders) < 2:
        raise ValueError(f"{len(folders)} model given: a mean needs at least two")
    first, *others = (Diffusion.from_pretrained(folder) for folder in folders)
    for folder, other in zip(folders[1:], others, strict=True):
        _check_alike(folders[0], first, folder, other)
    states = [one.denoiser.state_dict() for one in (first, *others)]
    mean = {name: torch.stack([state[name].double() for state in states]).mean(dim=0) for name in states[0]}
    first.denoiser.load_state_dict(mean)  # rounds to the type of the weights once
    return first


def _check_alike(name: str, first: Diffusion, other_name: str, other: Diffusion) -> None:
    options, others = (_options(one.denoiser.unet) for one in (first, other))
    unlike = sorted(key for key in options | others if options.get(key) != others.get(key))
    if unlike:
        raise ValueError(f"{name} and {other_name} are other networks: they differ in {', '.join(unlike)}")
    if not torch.equal(first.schedule.betas, other.schedule.betas):
        raise ValueError(f"{name} and {other_name} were trained with other noise schedules")


def _options(unet: Any) -> dict[str, Any]:
    return {key: value for key, value in dict(unet.config).items() if not key.startswith("_")}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 1 if the models have no mean."""
    parser = ArgumentParser(prog="python -m lightning_modules.purification.average", description=__doc__)
    parser.add_argument("folders", nargs="+", type=str, help="diffusers folders or Hub ids")
    parser.add_argument("--out", type=str, required=True, help="folder that is written")
    config = parser.parse_args(args)
    try:
        mean = average(config.folders)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    save_diffusion(mean.denoiser, mean.schedule.betas, Path(config.out))
    print(f"{config.out}: written, the mean of {len(config.folders)} networks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
