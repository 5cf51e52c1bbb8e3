"""Every table and figure of the paper by its command, on stand-ins: ``--data-scale tiny``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import evaluate
import train
from lightning_modules.evaluation.paper import read_figures
from lightning_modules.evaluation.requirements import make, missing_requirements
from tests.conftest import CONFIGS

PLANS = sorted(path for path in (CONFIGS / "evaluation").glob("*.yaml") if "scales" in evaluate.compose([path]))
WIKI = ("WIKI", "DGCPN")
# One column of each plan here, all five data sets among them; every column of each in the slow test.
COLUMNS = {
    "table1": ("FLICKR-25K", "DPSH"),
    "table2": WIKI,
    "table3": ("IAPR", "DADH"),
    "table4": (),
    "table7": ("FLICKR-25K", "DPSH"),
    "table8": ("FLICKR-25K", "DGCPN"),
    "table9": ("NUS-WIDE", "DADH"),
    "figure1": (),
    "figure2": (),
    "figure3": (),
    "mixed": ("MS-COCO", "DPH"),
}
# Rows x metrics x conventions of a column; two chains of RetPur stand beside each printed row.
PRINTED = {"table1": 20, "table2": 16, "table3": 16, "table4": 32, "table7": 6, "table8": 12, "table9": 12}
PRINTED |= {"figure2": 8, "mixed": 6}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all plans keep their networks: each is trained once."""
    return tmp_path_factory.mktemp("paper")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plans' commands name fragments relative to the project's root."""
    monkeypatch.chdir(CONFIGS.parent)


def arguments(plan: Path, home: Path, *values: str) -> list[str]:
    moved = home / "home.yaml"
    moved.write_text(yaml.safe_dump({"variables": {"home": str(home)}}))
    chosen = [part for value in values for part in ("--select", value)]
    return ["--config", str(plan), "--config", str(moved), "--data-scale", "tiny", *chosen]


def requirements(given: list[str]) -> list:
    return missing_requirements(evaluate.make_parser().parse_args(evaluate.merge_configs(given)).as_dict())


def fit(command: list[str]) -> None:
    """Train in this process, which saves the seconds that another one takes to import everything."""
    assert command[:2] == ["train.py", "fit"]
    train.main([*command[1:], "--trainer.accelerator=cpu"])


def test_every_plan_is_tested():
    assert {plan.stem for plan in PLANS} == set(COLUMNS)


def run(plan: Path, home: Path, *values: str) -> list[dict]:
    """Make what is missing, evaluate, and return the rows."""
    given = arguments(plan, home, *values)
    make(requirements(given), fit)
    assert requirements(given) == []
    assert evaluate.main([*given, "--pictures", "1", "--trainer.accelerator", "cpu"]) == 0
    return json.loads((home / "tiny" / plan.stem / "results.json").read_text())


def compared(report: str) -> list[str]:
    """Return the lines of a report that set ours beside a printed figure."""
    tables = {f"| {one.table} |" for one in read_figures()}
    return [line for line in report.splitlines() if line.startswith(tuple(tables))]


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.stem)
def test_a_column_of_every_plan_runs(plan: Path, home: Path, capsys):
    rows = run(plan, home, *COLUMNS[plan.stem])
    assert all(row["num_queries"] == 6 and 0 <= row["map"] <= 1 for row in rows)
    printed = capsys.readouterr().out
    report = (home / "tiny" / plan.stem / "report.md").read_text()
    assert len(compared(report)) == PRINTED.get(plan.stem, 0)
    assert ("Beside the paper, in percent:" in printed) == bool(compared(report))
    for title in evaluate.compose([plan])["notes"]:
        assert f"\n{title}: " in printed
        assert f"| {title} | " in report


@pytest.mark.slow  # 49 trainings and 300 cells
def test_every_column_of_every_plan_runs(home: Path):
    tables: set[str] = set()
    for plan in PLANS:
        run(plan, home)
        report = (home / "tiny" / plan.stem / "report.md").read_text()
        tables |= {line.split("|")[1].strip() for line in compared(report)}
    assert tables == {one.table for one in read_figures()}
