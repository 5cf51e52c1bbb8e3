"""Attacks with weights in an evaluation: taken like any other, refused before any cell where they do not fit."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

import evaluate
from lightning_modules.attacks.folder import AttackFacts, prefixed, save_folder
from lightning_modules.attacks.networks import ProSGANGenerator, PrototypeNet
from tests.conftest import Tiny, evaluation_arguments

BITS, CLASSES, SIDE = 8, 24, 16


def plan(tiny: Tiny, tmp_path, bits: int) -> list[str]:
    torch.manual_seed(0)
    networks = {"prototype": PrototypeNet(CLASSES, bits), "generator": ProSGANGenerator(SIDE, channels=4)}
    names = tuple(tiny.open_data().class_names)
    facts = AttackFacts("ProSGAN", bits, CLASSES, SIDE, names, options={"channels": 4})
    save_folder(tmp_path / "attack", facts, prefixed(networks))
    entry = {"class_path": "lightning_modules.attacks.ProSGAN", "init_args": {"folder": str(tmp_path / "attack")}}
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump({"attacks": {"ProS-GAN": entry}}))
    exclude = ["none/blur", "none/RetPur", *(f"{a}/{d}" for a in ("P2P", "DHTA") for d in ("none", "blur", "RetPur"))]
    exclude += ["ProS-GAN/RetPur", "ProS-GAN/blur"]
    return evaluation_arguments(tiny, tmp_path / "out", "--config", str(more), f"--exclude={json.dumps(exclude)}")


def test_a_folder_is_a_plain_attack(tiny: Tiny, tmp_path):
    assert evaluate.main(plan(tiny, tmp_path, BITS)) == 0
    clean, row = json.loads((tmp_path / "out/results.json").read_text())
    assert (clean["attack"], row["attack"]) == ("none", "ProS-GAN")
    assert row["linf"] > 8
    assert 0 <= row["anchor_t_map"] <= 1


def test_a_folder_that_does_not_fit_stops_before_any_cell(tiny: Tiny, tmp_path):
    with pytest.raises(ValueError, match="trained for 16 bits, the hasher has 8"):
        evaluate.main(plan(tiny, tmp_path, 16))
    assert not list((tmp_path / "out").rglob("results*"))
