"""Plans from fragments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_modules.evaluation.compose import compose, merge


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_merge_goes_key_by_key_and_replaces_the_rest():
    assert merge({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}, "e": 3}) == {
        "a": {"b": 1, "c": [2]},
        "d": 2,
        "e": 3,
    }


def test_another_class_does_not_inherit_options():
    old = {"x": {"class_path": "A", "init_args": {"a": 1}, "name": "n"}}
    assert merge(old, {"x": {"class_path": "B", "init_args": {"b": 2}}}) == {
        "x": {"class_path": "B", "init_args": {"b": 2}, "name": "n"}
    }
    assert merge(old, {"x": {"class_path": "A", "init_args": {"b": 2}}})["x"]["init_args"] == {"a": 1, "b": 2}


def test_include_at_the_top_and_inside(tmp_path):
    write(
        tmp_path,
        attack="attacks: {P2P: {steps: 5, eps: 8}}",
        data="data: {path: x, init: {size: 32, seed: 0}}",
        plan="include: attack.yaml\nattacks: {P2P: {steps: 9}}\n"
        "datasets: {x: {include: data.yaml#data, init: {seed: 1}}}",
    )
    assert compose([tmp_path / "plan.yaml"]) == {
        "attacks": {"P2P": {"steps": 9, "eps": 8}},
        "datasets": {"x": {"path": "x", "init": {"size": 32, "seed": 1}}},
    }


def test_later_files_and_later_includes_win(tmp_path):
    write(tmp_path, a="x: {p: 1, q: 1}", b="x: {p: 2}", c="include: [a.yaml, b.yaml]", d="x: {q: 3}")
    assert compose([tmp_path / "c.yaml", tmp_path / "d.yaml"]) == {"x": {"p": 2, "q": 3}}


def test_lists_are_taken_as_they_are(tmp_path):
    write(tmp_path, a="x: 1", plan="items: [{include: a.yaml}]")
    assert compose([tmp_path / "plan.yaml"]) == {"items": [{"include": "a.yaml"}]}


def test_a_plan_is_read_as_utf_8_whatever_the_machine_prefers(tmp_path):
    (tmp_path / "plan.yaml").write_bytes("name: Zürich 楽".encode())
    (tmp_path / "other.yaml").write_bytes("name: Zürich".encode("latin-1"))
    code = "import runpy, sys; print(ascii(runpy.run_path(sys.argv[1])['compose'](sys.argv[2:])))"
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, compose.__code__.co_filename, str(tmp_path / "plan.yaml")]
    assert subprocess.check_output(command, env=plain, text=True).strip() == ascii({"name": "Zürich 楽"})
    with pytest.raises(ValueError, match=r"other\.yaml: not valid YAML"):
        compose([tmp_path / "other.yaml"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("include: nothing.yaml", r"nothing\.yaml, included by .*plan\.yaml: cannot be read"),
        ("include: other.yaml#a.z", r"'other\.yaml#a\.z' names a key that other\.yaml does not have"),
        ("include: plan.yaml", r"includes itself: plan\.yaml -> plan\.yaml"),
        ("[1, 2]", "expected a mapping, got list"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    write(tmp_path, plan=text, other="a: {b: 1}")
    with pytest.raises(ValueError, match=message):
        compose([tmp_path / "plan.yaml"])
