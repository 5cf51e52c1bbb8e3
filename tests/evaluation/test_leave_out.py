"""Null on the command line of an evaluation: the row leaves the plan."""

from __future__ import annotations

import pytest

import evaluate
from lightning_modules.evaluation.arguments import merge_configs
from lightning_modules.evaluation.leave_out import leave_out
from tests.conftest import CONF

PLAN = {
    "name": "x",
    "attacks": {"P2P": {"class_path": "A"}, "DHTA": {}, "v1.5": {}},
    "defences": {"blur": {}, "T_p = 45": {}},
    "adaptive": {"through blur": {"attack": "DHTA", "through": "blur"}},
    "exclude": ["P2P/blur", "DHTA/T_p = 45", "DHTA/blur"],
}


@pytest.mark.parametrize(
    ("args", "section", "names"),
    [
        (["--attacks.P2P", "null"], "attacks", ["DHTA", "v1.5"]),
        (["--attacks.P2P=null", "--attacks.v1.5", "~"], "attacks", ["DHTA"]),
        (["--defences.T_p = 45", "null"], "defences", ["blur"]),
        (["--defences.T_p = 45=null"], "defences", ["blur"]),
        (["--adaptive.through blur", "null"], "adaptive", []),
    ],
)
def test_an_entry_that_is_null_leaves_the_plan(args, section, names):
    left, rest = leave_out(PLAN, ["--seed", "1", *args, "--output", "o"])
    assert list(left[section]) == names
    assert rest == ["--seed", "1", "--output", "o"]
    assert {key: left[key] for key in PLAN if key not in (section, "exclude")} == {
        key: PLAN[key] for key in PLAN if key not in (section, "exclude")
    }


def test_a_section_that_is_null_leaves_the_plan():
    left, rest = leave_out(PLAN, ["--adaptive", "null", "--exclude=null", "--transfer", "null"])
    assert set(left) == {"name", "attacks", "defences"}
    assert rest == []
    assert leave_out(PLAN, ["--adaptive.through blur", "null", "--adaptive", "null"])[0].keys() == PLAN.keys() - {
        "adaptive"
    }


def test_pairs_that_are_excluded_go_with_their_row():
    assert leave_out(PLAN, ["--defences.blur", "null"])[0]["exclude"] == ["DHTA/T_p = 45"]
    assert leave_out(PLAN, ["--attacks.P2P", "null"])[0]["exclude"] == ["DHTA/T_p = 45", "DHTA/blur"]
    assert len(PLAN["exclude"]) == 3


HASHERS = {
    "one": {"dataset": "d", "attacks": {"THA": {"folder": "a"}, "NAG, 8/255": {}}},
    "two": {"dataset": "d", "attacks": {"THA": {"folder": "b"}}},
    "three": {"dataset": "d"},
}
TRAINED = {
    **PLAN,
    "hashers": HASHERS,
    "exclude": [*PLAN["exclude"], "THA/blur", "NAG, 8/255/blur"],
    "transfer": ["one/two", "two/three", "three/one"],
}


def test_an_attack_that_hashers_share_leaves_all_of_them():
    left, rest = leave_out(TRAINED, ["--attacks.THA", "null"])
    assert [list(hasher.get("attacks", {})) for hasher in left["hashers"].values()] == [["NAG, 8/255"], [], []]
    assert left["exclude"] == [*PLAN["exclude"], "NAG, 8/255/blur"]
    assert (left["attacks"], rest) == (PLAN["attacks"], [])
    assert list(HASHERS["two"]["attacks"]) == ["THA"]


def test_attacks_of_hashers_leave_as_a_whole():
    left, rest = leave_out(TRAINED, ["--hashers.one.attacks", "null"])
    assert [list(hasher.get("attacks", {})) for hasher in left["hashers"].values()] == [[], ["THA"], []]
    assert left["exclude"] == [*PLAN["exclude"], "THA/blur"]
    assert (left["attacks"], rest) == (PLAN["attacks"], [])
    left, rest = leave_out(TRAINED, ["--attacks=null"])
    assert left["hashers"] == {name: {"dataset": "d"} for name in HASHERS}
    assert ("attacks" in left, left["exclude"], rest) == (False, [], [])
    assert list(HASHERS["two"]["attacks"]) == ["THA"]


def test_names_with_slashes_are_told_apart():
    assert leave_out(TRAINED, ["--attacks.NAG, 8/255", "null"])[0]["exclude"] == [*PLAN["exclude"], "THA/blur"]
    assert leave_out(TRAINED, ["--defences.blur", "null"])[0]["exclude"] == ["DHTA/T_p = 45"]


def test_transfers_and_attacks_go_with_their_hasher():
    left, _ = leave_out(TRAINED, ["--hashers.one=null"])
    assert left["transfer"] == ["two/three"]
    assert left["exclude"] == [*PLAN["exclude"], "THA/blur"]  # THA stays on the hasher two
    assert leave_out({**TRAINED, "transfer": "all"}, ["--hashers.one=null"])[0]["transfer"] == "all"


@pytest.mark.parametrize(
    "args",
    [
        ["--num_queries", "null", "--store=null", "null", "adaptive", "null"],
        ["--attacks.P2P.init_args.step", "null", "--hashers.X.checkpoint=null", "--exclude.P2P/blur", "null"],
        ["--attacks.P2P.init_args.name", "nullable", "--adaptive", "{}"],
    ],
)
def test_other_nulls_are_left_to_the_parser(args):
    assert leave_out(PLAN, args) == (PLAN, args)


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match=r"--attacks\.PGD null: the plan's attacks are \['DHTA', 'P2P', 'v1\.5'\]"):
        leave_out(PLAN, ["--attacks.PGD", "null"])
    with pytest.raises(ValueError, match=r"--surrogates\.blur null: the plan's surrogates are none"):
        leave_out(PLAN, ["--surrogates.blur=null"])


def test_the_parser_never_sees_what_was_left_out():
    given = ["--config", str(CONF / "tiny-evaluation.yaml"), "--attacks.DHTA", "null", "--defences.RetPur=null"]
    config = evaluate.make_parser().parse_args(merge_configs([*given, "--adaptive", "null", "--seed", "3"]))
    assert (list(config.attacks), list(config.defences), config.seed) == (["P2P"], ["blur"], 3)
    assert not config.adaptive
