"""What a plan needs before it runs."""

from __future__ import annotations

import json
import shlex
import sys

import pytest
import yaml

import evaluate
from lightning_modules.evaluation.requirements import (
    describe,
    is_finished,
    make,
    missing_requirements,
    run_python,
)
from tests.conftest import Tiny, evaluation_arguments


def plan(folder) -> dict:
    """An attack is trained from a prototype, that from a hasher, that from data; nobody asks for the other attack."""
    hasher, prototype, attack, other, data = (
        str(folder / name) for name in ("hasher", "prototype", "attack", "other", "data")
    )
    return {
        "hashers": {"one": {"checkpoint": hasher, "attacks": {"A": {"init_args": {"folder": attack}}}}},
        "defences": None,
        "training": {
            hasher: f"train --data {data}",
            prototype: f"train --hasher {hasher}",
            attack: f"train --prototype {prototype}",
            other: f"train --hasher {hasher}",
        },
        "files": {data: "the archive", str(folder / "unused"): "elsewhere"},
    }


def paths(found, folder) -> list[str]:
    return [one.path.removeprefix(f"{folder}/") for one in found]


def test_what_is_needed_is_found_in_order(tmp_path):
    found = missing_requirements(plan(tmp_path))
    assert paths(found, tmp_path) == ["data", "hasher", "prototype", "attack"]


def test_what_is_there_is_not_asked_for_nor_what_only_it_needs(tmp_path):
    (tmp_path / "hasher").touch()
    assert paths(missing_requirements(plan(tmp_path)), tmp_path) == ["prototype", "attack"]
    (tmp_path / "attack").touch()
    assert missing_requirements(plan(tmp_path)) == []


def test_a_dependency_may_stand_behind_an_equals_sign(tmp_path):
    needs = plan(tmp_path)
    needs["training"][str(tmp_path / "hasher")] = f"train --data.folder={tmp_path / 'data'}"
    needs["training"][str(tmp_path / "attack")] = f"train --prototype={tmp_path / 'prototype'}"
    assert paths(missing_requirements(needs), tmp_path) == ["data", "hasher", "prototype", "attack"]


def test_the_mark_of_a_folder_lies_beside_it(tmp_path):
    path = f"{tmp_path}/attack/"
    needs = {"attacks": {"A": {"folder": path}}, "training": {path: "train"}}
    with pytest.raises(RuntimeError, match="attack/ is still missing after: python train"):
        make(missing_requirements(needs), lambda arguments: None)
    (tmp_path / "attack").mkdir()
    assert not is_finished(path), "what wrote nothing is no success, whoever makes the folder later"
    make(missing_requirements(needs), lambda arguments: None)
    assert is_finished(path)
    assert not any((tmp_path / "attack").iterdir())


def test_the_message_names_files_origins_and_commands(tmp_path):
    text = describe(missing_requirements(plan(tmp_path)))
    assert text.startswith("4 files or folders of the plan are missing.")
    assert f"{tmp_path}/data: the archive" in text
    assert f"{tmp_path}/prototype\n    python train --hasher {tmp_path}/hasher\n" in text
    assert "other" not in text


def test_commands_run_in_order_and_resume_after_a_failure(tmp_path):
    (tmp_path / "data").touch()
    ran = []

    def run(arguments):
        ran.append(arguments[1])
        if len(ran) == 2:
            (tmp_path / "prototype").write_text("half")
            raise RuntimeError("killed")
        (tmp_path / {"--data": "hasher", "--hasher": "prototype", "--prototype": "attack"}[arguments[1]]).write_text("")

    with pytest.raises(RuntimeError, match="killed"):
        make(missing_requirements(plan(tmp_path)), run)
    assert is_finished(str(tmp_path / "hasher"))
    assert not is_finished(str(tmp_path / "prototype"))
    make(missing_requirements(plan(tmp_path)), run)
    assert ran == ["--data", "--hasher", "--hasher", "--prototype"]
    assert missing_requirements(plan(tmp_path)) == []


def test_what_nobody_makes_stops_before_any_command(tmp_path):
    with pytest.raises(ValueError, match="the archive"):
        make(missing_requirements(plan(tmp_path)), lambda arguments: pytest.fail("nothing may run"))


def test_a_command_that_writes_nothing_is_no_success(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(RuntimeError, match="hasher is still missing after: python train"):
        make(missing_requirements(plan(tmp_path)), lambda arguments: None)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_several_processes_do_not_train_the_same_things(tmp_path, monkeypatch, name):
    (tmp_path / "data").touch()
    missing = missing_requirements(plan(tmp_path))
    monkeypatch.setenv(name, "2")
    with pytest.raises(ValueError, match="--train-missing in each of 2 processes: first train in one"):
        make(missing, lambda arguments: pytest.fail("nothing may run"))
    monkeypatch.setenv(name, "1")
    with pytest.raises(RuntimeError, match="still missing"):
        make(missing, lambda arguments: None)


def test_the_interpreter_is_this_one(tmp_path):
    run_python(["-c", "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.executable)", f"{tmp_path}/x"])
    assert (tmp_path / "x").read_text() == sys.executable
    with pytest.raises(RuntimeError, match="exit status 3"):
        run_python(["-c", "raise SystemExit(3)"])


@pytest.fixture
def made(tiny: Tiny, tmp_path):
    """A hasher that the plan's command makes: path, and the arguments of the evaluation."""
    copy, path = "import shutil, sys; shutil.copy(*sys.argv[1:])", tmp_path / "made.ckpt"
    more = {"training": {str(path): shlex.join(["-c", copy, str(tiny.hasher), str(path)])}, "num_queries": 2}
    more |= {"exclude": [f"{attack}/{defence}" for attack in ("P2P", "DHTA") for defence in ("none", "RetPur", "blur")]}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(more))
    given = evaluation_arguments(tiny, tmp_path / "out", "--config", str(tmp_path / "more.yaml"))
    return path, [*given, "--hashers.DPSH.checkpoint", str(path)]


def test_the_command_line_names_what_is_missing_and_makes_it(made, tmp_path):
    path, given = made
    with pytest.raises(SystemExit, match=rf"(?s)1 files or folders.*missing.*{path.name}\n    python -c"):
        evaluate.main(given)
    assert not (tmp_path / "out").exists(), "nothing was done"
    assert evaluate.main([*given, "--train-missing"]) == 0
    rows = json.loads((tmp_path / "out/results.json").read_text())
    assert [(row["attack"], row["num_queries"]) for row in rows] == [("none", 2)] * 3
    assert evaluate.main(given) == 0


def test_a_dry_run_names_what_is_missing_and_trains_nothing(made):
    path, given = made
    with pytest.raises(SystemExit, match=rf"1 files or folders(?s:.*){path.name}\n    python -c"):
        evaluate.main([*given, "--train-missing", "--dry-run"])
    assert not path.exists()


def test_a_wrong_part_is_said_before_anything_is_trained(made):
    path, given = made
    with pytest.raises(ValueError, match="only='3/2'"):
        evaluate.main([*given, "--train-missing", "--only", "3/2"])
    assert not path.exists()


def test_an_export_names_what_is_missing_and_makes_it(made, tmp_path):
    path, given = made
    given = ["export", *given, "--hasher", "DPSH", "--formats", "[parquet]", "--out", str(tmp_path / "exported")]
    with pytest.raises(SystemExit, match=rf"1 files or folders(?s:.*){path.name}\n    python -c"):
        evaluate.main(given)
    assert evaluate.main([*given, "--train-missing"]) == 0
    assert (tmp_path / "exported/images/codes.parquet").exists()
