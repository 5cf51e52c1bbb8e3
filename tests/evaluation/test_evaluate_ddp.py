"""Two and three processes give the rows and the store of one, to the last digit, on uneven numbers of shards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import evaluate
from tests.conftest import Tiny, evaluation_arguments

ROOT = Path(__file__).parents[2]
LEFT_OUT = [*(f"{attack}/RetPur" for attack in ("none", "P2P", "DHTA")), "none/blur", "DHTA/none", "DHTA/blur"]
# Seven shards for two or three processes, one database shard for all of them.
PLAN = ("--exclude", json.dumps(LEFT_OUT), "--shard_size=1", "--pictures=1")


def run(tiny: Tiny, output: Path, devices: int, *extra: str) -> subprocess.CompletedProcess:
    arguments = evaluation_arguments(tiny, output, *PLAN, *extra)
    command = [sys.executable, "evaluate.py", *arguments, f"--trainer.devices={devices}", "--trainer.strategy=ddp"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def rows(output: Path) -> list[dict]:
    found = json.loads((output / "results.json").read_text())
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in found]


def shards(output: Path) -> dict[str, dict[str, torch.Tensor]]:
    store = output / "store"
    return {str(path.relative_to(store)): load_file(path) for path in store.rglob("*.safetensors")}


def assert_same_store(output: Path, other: Path) -> None:
    found, expected = shards(output), shards(other)
    assert found.keys() == expected.keys()
    for path, tensors in found.items():
        assert tensors.keys() == expected[path].keys(), path
        assert all(torch.equal(tensor, expected[path][name]) for name, tensor in tensors.items()), path
    manifests = {path.relative_to(other) for path in other.rglob("manifest.json")}
    assert {path.relative_to(output) for path in output.rglob("manifest.json")} == manifests


@pytest.fixture(scope="module")
def alone(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("alone")
    assert evaluate.main(evaluation_arguments(tiny, output, *PLAN)) == 0
    return output


@pytest.mark.ddp
@pytest.mark.parametrize("devices", [2, 3])
def test_several_processes_equal_one(devices: int, tiny: Tiny, alone: Path, tmp_path: Path):
    done = run(tiny, tmp_path, devices)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert rows(tmp_path) == rows(alone)
    assert_same_store(tmp_path, alone)


@pytest.mark.ddp
@pytest.mark.slow
def test_a_killed_process_ends_the_run_which_can_be_resumed(tiny: Tiny, alone: Path, tmp_path: Path):
    dying = {"class_path": "tests.evaluation.dying_attack.DyingAttack", "init_args": {"marker": str(tmp_path / "died")}}
    plan, output = ("--attacks.P2P", json.dumps(dying)), tmp_path / "out"
    done = run(tiny, output, 2, *plan)
    assert done.returncode != 0
    assert (
        "process 1 of 2 stops in scenes_DPSH_P2P_none" in done.stderr or "code -9" in done.stderr
    )  # who sees it first
    assert "Whatever was finished is stored: the same command goes on from there." in done.stderr
    assert not (output / "results.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in output.rglob("adversarial/*/shard-*.safetensors")}
    assert 2 <= len(kept) < 7
    assert evaluate.main(evaluation_arguments(tiny, output, *PLAN, *plan)) == 0
    assert rows(output) == rows(alone)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
