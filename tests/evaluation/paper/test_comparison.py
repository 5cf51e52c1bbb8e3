"""Ours beside the paper's."""

from __future__ import annotations

import pytest

from lightning_modules.evaluation.paper import PaperReference, compare

NAMES = {"dataset": "FLICKR-25K", "hasher": "ours", "source_hasher": "ours", "attack": "P2P", "defence": "45 of 250"}
SCORES = {"map": 0.7, "map_low": 0.6, "map_high": 0.75, "chance_map": 0.5}
TOP = {"t_map_hits50_i2i": 0.9, "t_map_hits50_i2i_low": 0.8, "t_map_hits50_i2i_high": 1.0, "chance_t_map_hits50": 0.2}


def reference(**options) -> PaperReference:
    named = {"hashers": {"ours": "DPSH"}, "defences": {"45 of 250": "RetPur"}}
    columns = {"map": "I2I MAP", "t_map_hits50_i2i": "I2I T-MAP"}
    return PaperReference(**{"tables": [1], "columns": columns, **named, **options})


def test_a_row_finds_its_printed_figures():
    first, second = compare([{**NAMES, **SCORES, **TOP}], reference())
    assert (first.score, first.printed, first.ours, first.chance) == ("MAP", 80.17, 70.0, 50.0)
    assert first.difference == pytest.approx(70 - 80.17)
    assert (first.low, first.high) == (60.0, 75.0)
    assert (second.score, second.printed) == ("T-MAP, first 50 hits, I2I", 63.60)
    assert (second.ours, second.chance) == (90.0, 20.0)
    assert first.hasher == "ours"
    assert first.defence == "45 of 250"


@pytest.mark.parametrize(
    "change",
    [
        {"attack": "NAG"},
        {"dataset": "CIFAR-10"},
        {"source_hasher": "another"},
        {"error": "no luck"},
        {"map": None},
    ],
)
def test_what_the_paper_does_not_print_is_left_out(change):
    assert compare([{**NAMES, **SCORES, **change}], reference()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tables": [5]}, r"paper\.tables: '5' stands nowhere"),
        ({"columns": {"map": "I2T MAP"}}, r"paper\.columns\.map: 'I2T MAP' stands nowhere.*'I2I MAP'"),
        ({"columns": {"mapp": "I2I MAP"}}, "'mapp' is no score"),
        ({"hashers": {"ours": "DSH"}}, r"paper\.hashers\.ours: 'DSH' stands nowhere"),
        ({"defences": {"x": "blur"}}, r"paper\.defences\.x: 'blur'"),
    ],
)
def test_a_name_that_the_paper_does_not_have_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        reference(**options)
