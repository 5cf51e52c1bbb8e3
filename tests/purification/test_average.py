"""The mean of fine-tuned networks: of all weights, and of networks that have one only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lightning_modules.purification import Denoiser, DiffusionPurifier, DiffusionSchedule
from lightning_modules.purification.average import average, main
from lightning_modules.purification.saving import save_diffusion


@pytest.fixture
def folder(tmp_path, make_unet):
    def make(name, seed=0, last=0.02, **changes):
        path = tmp_path / name
        betas = DiffusionSchedule.linear(last=last).betas
        save_diffusion(Denoiser(make_unet(seed, **changes)), betas, path)
        return str(path)

    return make


def weights(folder):
    return load_file(next(Path(folder, "unet").glob("*.safetensors")))


def test_every_weight_is_the_mean_and_the_folder_purifies(folder, tmp_path, images):
    names, out = [folder("a", 0), folder("b", 1), folder("c", 2)], str(tmp_path / "mean")
    assert main([*names, "--out", out]) == 0
    parts, mean = [weights(name) for name in names], weights(out)
    assert mean.keys() == parts[0].keys()
    for key, value in mean.items():
        np.testing.assert_array_equal(value, np.mean([part[key].astype("f8") for part in parts], axis=0).astype("f4"))
    purifier = DiffusionPurifier.from_pretrained(out, purify_steps=3)
    assert torch.isfinite(purifier(images)).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"layers_per_block": 2}, "layers_per_block"), ({"last": 0.03}, "noise schedules")],
)
def test_networks_that_have_no_mean_are_refused(changes, said, folder, tmp_path, capsys):
    names = [folder("a"), folder("b", 1, **changes)]
    assert main([*names, "--out", str(tmp_path / "mean")]) == 1
    message = capsys.readouterr().err
    assert said in message
    assert all(name in message for name in names)
    assert not (tmp_path / "mean").exists()


def test_one_network_is_no_mean(folder):
    with pytest.raises(ValueError, match="at least two"):
        average([folder("a")])
