"""Sweeps of a purifier's option, found in rows and drawn."""

import re

from lightning_modules.evaluation.report import Report, render_html
from lightning_modules.evaluation.report.lines import sweep_plot
from lightning_modules.evaluation.report.sweep import find_sweeps

PURIFIER = {"model": "ddpm", "purify_steps": 45, "scale": 1000.0, "pull": None, "calls": None, "timesteps": None}


def row(name, attack="DHTA", quality=0.5, **options):
    options = PURIFIER | options
    calls = options["calls"] or options["purify_steps"]
    return {
        "dataset": "CIFAR-10",
        "hasher": "DPSH",
        "attack": attack,
        "defence": name,
        "map": quality,
        "t_map": 1 - quality,
        "defended_rmse": 10 * quality / 255,
        "num_queries": 7,
        "seed": 0,
        "defence_options": options,
        "defence_facts": {"network_calls": calls, "scale": options["scale"], "pull": 0.1},
    }


def blur(attack="DHTA"):
    return row("blur", attack) | {"defence_options": {"sigma": 1.0}, "defence_facts": {}}


ROWS = [
    blur(),
    row("RetPur"),
    *(row(f"T_p {t}", quality=t / 200, purify_steps=t) for t in (110, 15)),
    *(row(f"T_p {t}", "none", purify_steps=t) for t in (15, 45)),
    *(row(f"{n} calls", quality=n / 20, calls=n) for n in (1, 10)),
    row("s 0", scale=0.0),
    *(row(f"K {k}", pull=k) for k in (0.1, 0.3, 1.0)),
    row("mse 15", purify_steps=15, metric="mse"),
]


def test_only_one_option_differs_in_a_sweep():
    found = {sweep.option: sweep for sweep in find_sweeps(ROWS)}
    assert len(find_sweeps(ROWS)) == 3
    assert found["purify_steps"].values == (15, 45, 110)
    assert found["calls"].values == (1, 10, 45)
    assert found["pull"].values == (0.1, 0.3, 1.0)
    assert [one["defence"] for one in found["purify_steps"].rows["DHTA"]] == ["T_p 15", "RetPur", "T_p 110"]
    assert [one and one["defence"] for one in found["purify_steps"].rows["none"]] == ["T_p 15", "T_p 45", None]
    assert [one["defence"] for one in found["calls"].rows["DHTA"]] == ["1 calls", "10 calls", "RetPur"]


def test_two_sweeps_of_one_option_are_told_apart():
    deeper = [row(f"{n} calls at 110", purify_steps=110, calls=n) for n in (1, 2, 5)]
    captions = [sweep.caption for sweep in find_sweeps([*ROWS, *deeper]) if sweep.option == "calls"]
    assert [sweep.caption for sweep in find_sweeps(ROWS) if sweep.option == "pull"] == ["Over K at T_p = 45"]
    assert captions == ["Over calls at T_p = 45, s = 1,000", "Over calls at T_p = 110, s = 1,000"]


def test_two_settings_and_rows_without_options_are_no_sweep():
    assert find_sweeps([row("a"), row("b", purify_steps=9)]) == []
    assert find_sweeps([{"attack": "none"}, blur()]) == []


def test_the_lines_go_through_the_numbers():
    sweep = next(one for one in find_sweeps(ROWS) if one.option == "purify_steps")
    drawn = sweep_plot(sweep, ["none", "DHTA"])
    lines = [line.split('"') for line in re.findall(r"<polyline .*?/>", drawn)]
    heights = [[float(point.split(",")[1]) for point in line[1].split()] for line in lines]
    assert len(lines) == 6  # MAP, T-MAP and distance of two attacks
    quality = [heights[0], heights[3]] if len(heights[0]) == 3 else [heights[3], heights[0]]
    # The panel is 220 high and begins at 20; qualities are 15/200, 1/2, 110/200.
    expected = [20 + 220 * (1 - value) for value in (0.075, 0.5, 0.55)]
    assert all(abs(a - b) < 0.06 for a, b in zip(quality[0], expected, strict=True))
    assert all(f">{value}</text>" in drawn for value in (15, 45, 110))


def test_the_report_shows_sweeps_where_there_are_any():
    assert "Over the purifier" in render_html(Report(title="x", rows=ROWS))
    assert "Over the purifier" not in render_html(Report(title="x", rows=[row("a"), blur()]))
