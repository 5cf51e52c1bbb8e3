"""Attacks trained on the tiny data against the tiny hasher, by the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import train
from tests.conftest import CONFIGS, Tiny, fit

SHORT = ("--model.init_args.steps_per_epoch=4", "--model.init_args.labels_per_step=5")


def train_attack(tiny: Tiny, config: str, out: Path, *extra: str) -> train.RetPurCLI:
    """Train configs/attack-training/CONFIG.yaml for an epoch; the attack is exported to ``out / "attack"``."""
    flags = (f"--model.init_args.hasher={tiny.hasher}", "--trainer.callbacks+=callbacks.Export")
    flags += (f"--trainer.callbacks.path={out / 'attack'}", f"--trainer.logger.init_args.save_dir={out / 'run'}")
    fragment = str(CONFIGS / f"attack-training/{config}.yaml")
    return fit(fragment, root=tiny.data.parent, run="unused", extra=(*flags, *extra))


@pytest.fixture(scope="session")
def prototype(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> train.RetPurCLI:
    """The first stage of ProS-GAN, trained; ``trained_folder`` is its folder."""
    out = tmp_path_factory.mktemp("prototype")
    cli = train_attack(tiny, "pros-gan-prototype", out, *SHORT)
    cli.trained_folder = out / "attack"
    return cli
