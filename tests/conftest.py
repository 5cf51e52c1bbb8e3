"""A tiny trained hasher and DDPM, made once by the real command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import train
from datamodules import Loading, Pixels, ScenesDataModule, SplitSizes
from datamodules.text import TextFeatures
from tests.postgres import postgres

__all__ = ["postgres"]  # a fixture of every folder

torch.set_num_threads(1)  # tiny tensors: threads only get in each other's way

CONF = Path(__file__).parent / "conf"
CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class Tiny:
    """Where the tiny models lie."""

    data: Path
    hasher: Path
    ddpm: Path

    def open_data(self) -> ScenesDataModule:
        """Open the data of tests/conf/tiny-data.yaml."""
        return open_tiny_data(self.data)


def open_tiny_data(folder: Path, text: TextFeatures | None = None) -> ScenesDataModule:
    """Open the data of tests/conf/tiny-data.yaml from the cache in ``folder``."""
    module = ScenesDataModule(
        num_images=48,
        num_proc=1,
        pixels=Pixels(16),
        splits=SplitSizes(query=7, val=8, train=None),
        loader=Loading(8),
        cache_dir=str(folder),
        text=text,
    )
    module.prepare_data()
    module.setup()
    return module


def fit(*fragments: str, root: Path, run: str, extra: tuple[str, ...] = ()) -> train.RetPurCLI:
    """Run ``train.py fit`` on the tiny data with these fragments of tests/conf."""
    files = [CONFIGS / "trainer/default.yaml", CONF / "tiny-data.yaml", *(CONF / name for name in fragments)]
    args = ["fit", *(part for file in files for part in ("--config", str(file)))]
    args += ["--data.init_args.cache_dir", str(root / "data")]
    args += ["--trainer.logger.init_args.save_dir", str(root / run)]
    args += ["--trainer.max_epochs=1", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
    args += ["--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu"]
    return train.main([*args, *extra])


def evaluation_arguments(tiny: Tiny, output: Path, *extra: str) -> list[str]:
    """Return the arguments that evaluate the tiny plan with the tiny models."""
    return [
        "--config", str(CONF / "tiny-evaluation.yaml"),
        "--output", str(output),
        "--datasets.scenes.init_args.cache_dir", str(tiny.data),
        "--hashers.DPSH.checkpoint", str(tiny.hasher),
        "--defences.RetPur.init_args.model", str(tiny.ddpm),
        "--trainer.accelerator", "cpu",
        *extra,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Train the tiny hasher and the tiny DDPM for one epoch."""
    root = tmp_path_factory.mktemp("tiny")
    fit("tiny-hasher.yaml", root=root, run="hasher")
    export = ("--trainer.callbacks+=callbacks.Export", f"--trainer.callbacks.path={root / 'ddpm'}")
    fit("tiny-ddpm.yaml", root=root, run="ddpm-training", extra=export)
    return Tiny(root / "data", root / "hasher/checkpoints/last.ckpt", root / "ddpm")
