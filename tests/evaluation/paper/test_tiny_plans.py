"""Every table and figure of the paper by its command, on stand-ins: ``--data-scale tiny``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import evaluate
import train
from lightning_modules.evaluation.compose import compose
from lightning_modules.evaluation.paper import read_figures
from lightning_modules.evaluation.requirements import make, missing_requirements
from tests.conftest import CONFIGS

PLANS = sorted(path for path in (CONFIGS / "evaluation").glob("*.yaml") if "scales" in compose([path]))
# One column of each plan here; every column of every plan in the slow test.
UNI, CROSS = ("FLICKR-25K", "DPSH"), ("WIKI", "DGCPN")
COLUMNS = {path.stem: UNI if path.stem in ("table1", "table7", "mixed") else CROSS for path in PLANS}
PRINTED = {"table1": 20}  # clean, and three attacks without and with each of both chains of RetPur: MAP and T-MAP


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


def test_every_table_and_figure_has_a_plan():
    names = {f"table{one.table}" for one in read_figures()} | {"figure1", "figure2", "figure3", "mixed"}
    assert set(COLUMNS) == names


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.stem)
def test_a_column_runs_from_trainings_to_the_report(plan: Path, home: Path, capsys):
    rows = run(plan, home, *COLUMNS[plan.stem])
    assert all(row["num_queries"] == 6 and 0 <= row["map"] <= 1 for row in rows)
    printed = capsys.readouterr().out
    report = (home / "tiny" / plan.stem / "report.md").read_text()
    beside = len(compared(report))
    assert beside == PRINTED.get(plan.stem, beside)
    assert beside or plan.stem.startswith("figure")
    assert ("Beside the paper, in percent:" in printed) == (beside > 0)
    for title in compose([plan])["notes"]:
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
