"""Rows of attacks that have no target, beside those that have one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import evaluate
from tests.conftest import Tiny, evaluation_arguments

SHORT = {"iterations": 2}
ATTACKS = {
    "HAG": ("HAGAttack", {}),
    "SDHA": ("SDHAAttack", {}),
    "SDHA untargeted": ("SDHAAttack", {"targeted": False}),
    "mainstay": ("MainstayAttack", {}),
    "mainstay untargeted": ("MainstayAttack", {"targeted": False}),
    "NAG": ("NAGAttack", {"eps": 8 / 255}),
}


@pytest.fixture(scope="module")
def found(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Rows without defence, by attack, and the report."""
    folder = tmp_path_factory.mktemp("untargeted")
    attacks = {
        name: {"class_path": f"lightning_modules.attacks.{path}", "init_args": options | SHORT}
        for name, (path, options) in ATTACKS.items()
    }
    pairs = [f"{attack}/{defence}" for attack in ("none", *ATTACKS) for defence in ("RetPur", "blur")]
    pairs += [f"{attack}/{defence}" for attack in ("P2P", "DHTA") for defence in ("none", "RetPur", "blur")]
    (folder / "plan.yaml").write_text(yaml.safe_dump({"attacks": attacks, "exclude": pairs}))
    assert evaluate.main(evaluation_arguments(tiny, folder, "--config", str(folder / "plan.yaml"))) == 0
    rows = json.loads((folder / "results.json").read_text())
    return {row["attack"]: row | {"folder": str(folder)} for row in rows if row["defence"] == "none"}


@pytest.mark.parametrize("name", ATTACKS)
def test_t_map_is_absent_where_there_is_no_target(found, name):
    row = found[name]
    targeted = name in ("SDHA", "mainstay", "NAG")
    for figure in ("t_map", "t_map_low", "t_map_high", "chance_t_map"):
        assert (row[figure] is not None) == targeted, figure
    assert (row["anchor_t_map"] is not None) == (name in ("mainstay", "NAG"))
    assert row["map"] is not None
    assert row["chance_map"] is not None
    assert 0 < row["linf"] <= 8.0001


def test_a_report_shows_a_dash(found):
    lines = (Path(found["HAG"]["folder"]) / "report.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("| HAG | none |")]
    t_map, anchor = line.split(" | ")[3:5]
    assert t_map == anchor == "–"  # noqa: RUF001 (the report's dash)
