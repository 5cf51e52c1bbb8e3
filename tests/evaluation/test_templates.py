"""Rows and variables of a plan."""

from __future__ import annotations

import pytest

from lightning_modules.evaluation.templates import at_scale, expand, select

PLAN = {
    "variables": {"runs": "out", "models": "{runs}/{data}/m", "weight": 50.0},
    "each": [{"data": "A", "method": "x"}, {"data": "B", "method": "y", "weight": 7}],
    "entry": {"hashers": {"{data} {method}": {"of": "{data}", "file": "{models}.ckpt", "weight": "{weight}"}}},
    "output": "{runs}/here",
    "hashers": {"A x": {"of": "mine"}},
}


def test_an_entry_is_made_of_every_row_and_what_stands_beside_wins():
    assert expand(PLAN) == {
        "output": "out/here",
        "hashers": {
            "A x": {"of": "mine", "file": "out/A/m.ckpt", "weight": 50.0},
            "B y": {"of": "B", "file": "out/B/m.ckpt", "weight": 7},
        },
    }


def test_rows_stand_anywhere():
    steps = {"each": [{"t": 5}, {"t": 45}], "entry": {"T = {t}": {"steps": "{t}", "text": "t{t}"}}}
    assert expand({"variables": {}, "defences": steps}) == {
        "defences": {"T = 5": {"steps": 5, "text": "t5"}, "T = 45": {"steps": 45, "text": "t45"}}
    }


def test_rows_are_found_at_any_depth_without_variables():
    steps = {"each": [{"t": 5}], "entry": {"T = {t}": "{t}"}}
    assert expand({"defences": {"x": [steps]}, "seed": 1}) == {"defences": {"x": [{"T = 5": 5}]}, "seed": 1}


def test_a_plan_without_templates_is_what_it_was():
    plan = {"summary": "a {brace}", "x": [1, None, {"y": "each {row}"}]}
    assert expand(plan) == plan


def test_rows_are_selected_by_what_they_hold():
    assert list(expand(select(PLAN, ["B"]))["hashers"]) == ["B y", "A x"]  # what stands beside the rows stays
    assert select(PLAN, []) == PLAN
    assert select({**PLAN, "select": ["A"]}, ["x"]) == {**PLAN, "each": PLAN["each"][:1]}
    assert list(expand(select(PLAN, ["7"]))["hashers"]) == ["B y", "A x"]
    assert select({**PLAN, "select": [7]}, []) == select(PLAN, ["7"])
    for values in (["C"], ["A", "y"]):
        with pytest.raises(ValueError, match=rf"holds {', '.join(values)}; its rows .* \['7', 'A', 'B', 'x', 'y'\]"):
            select(PLAN, values)
    with pytest.raises(ValueError, match="no row of the plan holds A; its rows"):
        select({"hashers": {}}, ["A"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": "{run}/x"}, r"'\{run\}/x' names the variable \{run\}, the plan has"),
        ({"variables": {"runs": "{models}", "models": "{runs}"}}, "holds itself: "),
        ({"entry": None}, "needs an `entry`"),
    ],
)
def test_what_is_wrong_is_said(change, message):
    plan = {**PLAN, **change}
    if plan["entry"] is None:
        del plan["entry"]
    with pytest.raises(ValueError, match=message):
        expand(plan)


def test_a_scale_is_merged_over_the_plan():
    plan = {"x": {"a": 1, "b": 1}, "scales": {"tiny": {"x": {"b": 2}}}}
    assert at_scale(plan, None) == {"x": {"a": 1, "b": 1}}
    assert at_scale(plan, "tiny") == {"x": {"a": 1, "b": 2}}
    with pytest.raises(ValueError, match=r"--data-scale huge: the plan offers \['tiny'\]"):
        at_scale(plan, "huge")
