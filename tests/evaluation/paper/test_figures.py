"""The paper's figures: transcribed whole, and right where they are looked up by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from lightning_modules.evaluation.paper import read_figures

FIGURES = read_figures()
PRINTED = {(one.table, *one.cell, one.column): one.percent for one in FIGURES}


def test_every_table_is_whole():
    """Hashers x rows x directions x metrics, counted from the tables' heads."""
    assert Counter(one.table for one in FIGURES) == {
        "1": 6 * 7 * 2, "2": 10 * 3 * 2, "3": 10 * 3 * 2, "4": 2 * 4, "7": 6 * 2 * 2, "8": 10 * 2 * 2, "9": 10 * 2 * 2,
    }  # fmt: skip
    assert len(PRINTED) == len(FIGURES), "no figure stands twice"
    assert all(0 < one.percent < 100 for one in FIGURES)


@pytest.mark.parametrize(
    ("place", "percent"),
    [
        (("1", "FLICKR-25K", "DPSH", "none", "none", "I2I MAP"), 81.06),
        (("1", "MS-COCO", "DPH", "P2P", "RetPur", "I2I T-MAP"), 42.73),
        (("1", "NUS-WIDE", "DPH", "ProS-GAN", "RetPur", "I2I T-MAP"), 53.69),
        (("1", "NUS-WIDE", "DPSH", "DHTA", "none", "I2I MAP"), 51.98),
        (("2", "WIKI", "DADH", "TA-DCH", "none", "I2I T-MAP"), 23.80),
        (("2", "NUS-WIDE", "DADH", "TA-DCH", "RetPur", "I2I T-MAP"), 40.58),
        (("3", "IAPR", "DADH", "TA-DCH", "none", "I2T T-MAP"), 81.11),
        (("4", "WIKI", "DGCPN", "TA-DCH", "RetPur, MSE", "I2T T-MAP"), 14.39),
        (("7", "MS-COCO", "DPH", "none", "RetPur", "I2I MAP"), 58.46),
        (("8", "MS-COCO", "DGCPN", "none", "RetPur", "I2I T-MAP"), 35.86),
        (("9", "NUS-WIDE", "DADH", "none", "RetPur", "I2T T-MAP"), 38.28),
    ],
)
def test_figures_looked_up_by_hand(place, percent):
    assert PRINTED[place] == percent


@pytest.mark.parametrize(("table", "appendix"), [("1", "7"), ("2", "8"), ("3", "9")])
def test_clean_rows_stand_twice_in_the_paper(table, appendix):
    twice = {place[1:]: value for place, value in PRINTED.items() if place[0] == appendix and place[4] == "none"}
    assert twice
    assert all(PRINTED[(table, *place)] == value for place, value in twice.items())


def test_table_4_repeats_a_point_of_tables_2_and_3():
    for table, direction in (("2", "I2I"), ("3", "I2T")):
        for metric in ("MAP", "T-MAP"):
            place = ("WIKI", "DGCPN", "TA-DCH")
            column = f"{direction} {metric}"
            assert PRINTED[(table, *place, "RetPur", column)] == PRINTED[("4", *place, "RetPur, SSIM", column)]


def test_what_contradicts_is_marked():
    noted = {(one.table, one.dataset, one.hasher, one.attack) for one in FIGURES if one.note}
    assert noted == {
        ("1", "MS-COCO", "DPSH", "P2P"),
        ("2", "FLICKR-25K", "DADH", "TA-DCH"),
        ("3", "FLICKR-25K", "DADH", "TA-DCH"),
        ("4", "WIKI", "DGCPN", "TA-DCH"),
        ("8", "FLICKR-25K", "DADH", "none"),
        ("9", "FLICKR-25K", "DADH", "none"),
    }
