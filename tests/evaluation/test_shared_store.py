"""Evaluations on a store that lies elsewhere, and on one that several machines share."""

from __future__ import annotations

import json

import pytest

import evaluate
from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.evaluation.part import Part
from tests.conftest import evaluation_arguments

LEFT_OUT = [f"{attack}/RetPur" for attack in ("none", "P2P", "DHTA")] + ["DHTA/none", "DHTA/blur"]
PLAN = ("--exclude", json.dumps(LEFT_OUT))  # clean and P2P, bare and blurred


def rows(output, name="results"):
    found = json.loads((output / f"{name}.json").read_text())
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in found]


@pytest.fixture(scope="module")
def alone(tiny, tmp_path_factory):
    output = tmp_path_factory.mktemp("alone")
    assert evaluate.main(evaluation_arguments(tiny, output, *PLAN)) == 0
    return rows(output)


@pytest.fixture(scope="module")
def parts(tiny, tmp_path_factory):
    """Two machines, one after the other, on a store in memory."""
    folder = tmp_path_factory.mktemp("parts")
    for number in (1, 2):
        arguments = evaluation_arguments(tiny, folder / str(number), *PLAN, "--store", f"memory://{folder.name}")
        assert evaluate.main([*arguments, "--only", f"{number}/2"]) == 0
    return folder


def test_the_first_of_two_machines_has_its_part(parts, alone):
    assert rows(parts / "1", "results-1-of-2") == alone[::2]
    assert not (parts / "1/results.json").exists()
    assert not (parts / "1/report.html").exists()


def test_the_last_of_two_machines_writes_everything(parts, alone):
    assert rows(parts / "2", "results-2-of-2") == alone[1::2]
    assert rows(parts / "2") == alone
    assert "P2P" in (parts / "2/report.html").read_text()
    assert not (parts / "2/store").exists()


def test_a_later_run_computes_nothing_and_writes_the_report(tiny, parts, alone, monkeypatch):
    monkeypatch.setattr(IterativeCodeAttack, "forward", lambda *_: pytest.fail("attacked again"))
    output = parts / "later"
    assert evaluate.main([*evaluation_arguments(tiny, output, *PLAN), "--store", f"memory://{parts.name}"]) == 0
    assert rows(output) == alone
    assert (output / "report.html").exists()


def test_a_part_is_checked_before_work(tiny, tmp_path):
    for text in ("0/2", "3/2", "1", "a/b"):
        with pytest.raises(ValueError, match="expected i/n with 1 <= i <= n"):
            Part.parse(text)
    with pytest.raises(ValueError, match="the plan has 4 cells, expected at most as many"):
        evaluate.main([*evaluation_arguments(tiny, tmp_path, *PLAN), "--only", "1/5"])
    assert not any(tmp_path.iterdir())


def test_parts_are_all_cells_and_none_twice():
    cells = list(range(11))
    for count in range(1, 12):
        assert sorted(cell for number in range(count) for cell in Part(number + 1, count).of(cells)) == cells
