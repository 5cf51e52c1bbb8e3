"""What a plan refuses, and how its pairs are read."""

from __future__ import annotations

import pytest

from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.defences import GaussianBlur
from lightning_modules.evaluation.plan import AdaptiveEntry, EvaluationPlan, HasherEntry

SLASHED = "NAG, 8/255"


def plan(**options) -> EvaluationPlan:
    hashers = {name: HasherEntry("d", "x.ckpt", {"THA": IterativeCodeAttack()}) for name in ("a", "b/c", "c")}
    made = {"attacks": {SLASHED: IterativeCodeAttack()}, "defences": {"blur, 3/2": GaussianBlur()}} | options
    return EvaluationPlan("name", "out", {"d": None}, hashers, **made)


def test_names_with_slashes_can_be_excluded():
    rows = {(cell.attack, cell.defence) for cell in plan(exclude=[f"{SLASHED}/none", f"{SLASHED}/blur, 3/2"]).cells()}
    assert rows == {(attack, defence) for attack in ("none", "THA") for defence in ("none", "blur, 3/2")}
    for pair in ("NAG, 8/255", f"{SLASHED}/blur", "none/none/none", ""):
        with pytest.raises(ValueError, match="expected attack/defence"):
            plan(exclude=[pair])


def test_names_with_slashes_can_be_transferred():
    sources = plan(transfer=["a/b/c", "b/c/a", "c/a"]).sources()
    assert sources == {"a": ["b/c", "c"], "b/c": ["a"], "c": []}
    with pytest.raises(ValueError, match="transfer 'a/a': expected source/hasher"):
        plan(transfer=["a/a"])


@pytest.mark.parametrize("option", ["shard_size", "num_queries", "cutoff"])
@pytest.mark.parametrize("value", [0, -3])
def test_numbers_below_one_are_refused(option, value):
    with pytest.raises(ValueError, match=f"{option}={value}: expected at least 1"):
        plan(**{option: value})
    assert getattr(plan(**{option: 1}), option) == 1


def test_an_adaptive_row_does_not_stand_on_a_trained_attack():
    entry = {"row": AdaptiveEntry("THA", "blur, 3/2")}
    with pytest.raises(ValueError, match=r"names attack 'THA', found .*it may not stand on .* a hasher"):
        plan(adaptive=entry)
