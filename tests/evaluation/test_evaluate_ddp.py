"""Two processes give the rows of one, to the last digit, on an uneven number of shards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Tiny, evaluation_arguments

ROOT = Path(__file__).parents[2]


def run(tiny: Tiny, output: Path, devices: int) -> list[dict]:
    flags = ["--trainer.devices", str(devices), *(["--trainer.strategy", "ddp"] if devices > 1 else [])]
    command = [sys.executable, str(ROOT / "evaluate.py"), *evaluation_arguments(tiny, output, *flags)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found = json.loads((output / "results.json").read_text())
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in found]


@pytest.mark.ddp
def test_two_processes_equal_one(tiny: Tiny, tmp_path: Path):
    assert run(tiny, tmp_path / "two", 2) == run(tiny, tmp_path / "one", 1)
