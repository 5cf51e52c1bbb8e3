"""The evaluation as its users call it, on a tiny plan."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

import evaluate
from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.evaluation.store import Stage
from lightning_modules.hashing import HashingModule
from tests.conftest import CONFIGS, Tiny
from tests.conftest import evaluation_arguments as arguments

NUMBERS = ("map", "t_map", "map_low", "map_high", "t_map_low", "t_map_high", "anchor_t_map", "linf", "rmse")
DISTORTIONS = ("linf", "rmse", "mean_rmse", "ssim", "psnr")


def rows(output: Path) -> list[dict]:
    return json.loads((output / "results.json").read_text())


def without_time(found: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in found]


@pytest.fixture(scope="module")
def done(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("evaluation")
    assert evaluate.main(arguments(tiny, output)) == 0
    return output


def test_rows_are_the_plan(done: Path):
    found = rows(done)
    names = [(row["attack"], row["defence"]) for row in found]
    axis = ("none", "RetPur", "blur")
    assert names == [(attack, defence) for attack in ("none", "P2P", "DHTA") for defence in axis]
    assert all(row["num_queries"] == 7 for row in found)
    assert all(row["map_low"] <= row["map"] <= row["map_high"] for row in found)
    assert [json.loads(line) for line in (done / "results.jsonl").read_text().splitlines()] == found


def test_attacked_images_keep_the_budget(done: Path):
    for row in rows(done):
        assert (row["linf"] is None) == (row["attack"] == "none")
        assert row["linf"] is None or 0 < row["linf"] <= 8.0001


def test_distortions_and_times_stand_where_there_is_something_to_measure(done: Path):
    for row in rows(done):
        attacked, defended = row["attack"] != "none", row["defence"] != "none"
        assert [row[name] is not None for name in DISTORTIONS] == [attacked] * 5
        assert (row["seconds_attack"] is not None, row["seconds_defence"] is not None) == (attacked, defended)
        assert (row["anchor_map"] is not None) == attacked
        parts = sum(row[name] or 0 for name in ("seconds_attack", "seconds_defence")) * row["num_queries"]
        assert 0 <= parts <= row["seconds"] + 1e-3
        if attacked:
            assert 0 < row["mean_rmse"] <= row["rmse"] <= row["linf"] / 255
            assert row["psnr"] >= -20 * np.log10(row["rmse"]) - 1e-9  # the mean of logarithms against that of the mean
            assert 0.5 < row["ssim"] < 1


def test_report_and_logs_are_written(done: Path):
    page = (done / "report.html").read_text()
    assert all(name in page for name in ("RetPur", "P2P", "DHTA", "blur"))
    assert len(list((done / "tensorboard").iterdir())) == 9 + 1


def test_codes_stand_in_the_projector_with_what_they_are(tiny: Tiny, done: Path):
    folder = done / "tensorboard/codes_DPSH"
    assert "sprite.png" in (folder / "projector_config.pbtxt").read_text()
    place = folder / "00000/codes"
    header, *lines = [line.split("\t") for line in (place / "metadata.tsv").read_text().splitlines()]
    codes = np.loadtxt(place / "tensors.tsv", delimiter="\t")
    assert header == ["id", "state", "label", "target"]
    assert len(codes) == len(lines)
    assert set(np.unique(codes)) == {-1, 1}
    states = Counter(line[1] for line in lines)
    attacked = {f"{a}{d}": 7 for a in ("P2P", "DHTA") for d in ("", ", RetPur", ", blur")}
    data = tiny.open_data()
    assert states == {"database": len(data.ids("database")), "clean": 7, "RetPur": 7, "blur": 7} | attacked
    encoder = HashingModule.load_from_checkpoint(tiny.hasher)
    queries = data.test_dataloader()[1]
    expected = {one: code for b in queries for one, code in zip(b.ids, encoder.encode(b.image), strict=True)}
    for code, line in zip(codes, lines, strict=True):
        if line[1] == "clean":
            assert code.tolist() == expected[line[0]].tolist()


def test_map_equals_brute_force_on_the_networks_codes(tiny: Tiny, done: Path):
    """MAP of the clean row from codes made here, by an independent loop over random orders of ties."""
    data = tiny.open_data()
    encoder = HashingModule.load_from_checkpoint(tiny.hasher)
    database, queries = (
        (torch.cat([encoder.encode(b.image) for b in loader]).numpy(), data.labels(split).numpy())
        for loader, split in zip(data.test_dataloader(), ("database", "query"), strict=True)
    )
    random = np.random.default_rng(0)
    samples = [
        average_precision(code, label, *database, random)
        for code, label in zip(*queries, strict=True)
        for _ in range(400)
    ]
    clean = next(row for row in rows(done) if row["attack"] == row["defence"] == "none")
    assert clean["map"] == pytest.approx(np.mean(samples), abs=0.01)


def average_precision(code, label, codes, labels, random) -> float:
    distance = (codes != code).sum(axis=1)
    order = np.lexsort((random.random(len(codes)), distance))
    relevant = (labels[order] & label).any(axis=1)
    hits = np.flatnonzero(relevant)
    return float(np.mean([(i + 1) / (rank + 1) for i, rank in enumerate(hits)])) if len(hits) else 0.0


def test_killed_run_resumes_to_the_same_results(tiny: Tiny, done: Path, tmp_path: Path, monkeypatch):
    """A run that dies in the middle of an attack ends with the results of an uninterrupted one."""
    calls = {"n": 0}
    craft = IterativeCodeAttack.forward

    def dies(self, *args):
        calls["n"] += 1
        if calls["n"] == 3:
            raise KeyboardInterrupt
        return craft(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(IterativeCodeAttack, "forward", dies)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            evaluate.main(arguments(tiny, tmp_path))
    assert not (tmp_path / "results.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("shard-*.safetensors")}
    assert evaluate.main(arguments(tiny, tmp_path)) == 0
    assert without_time(rows(tmp_path)) == without_time(rows(done))
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_second_run_computes_nothing(tiny: Tiny, done: Path, monkeypatch):
    before = rows(done)
    original = Stage.shard

    def only_reads(self, shard, compute):
        return original(self, shard, lambda: pytest.fail("a stored shard was computed again"))

    monkeypatch.setattr(Stage, "shard", only_reads)
    assert evaluate.main(arguments(tiny, done)) == 0
    assert rows(done) == before


def test_shard_size_does_not_change_results(tiny: Tiny, done: Path, tmp_path: Path):
    assert evaluate.main(arguments(tiny, tmp_path, "--shard_size=7")) == 0
    for ours, theirs in zip(rows(tmp_path), rows(done), strict=True):
        for name in NUMBERS:
            assert ours[name] == pytest.approx(theirs[name], abs=0.02), (ours["attack"], ours["defence"], name)


def test_failed_cell_is_recorded_and_the_others_go_on(tiny: Tiny, tmp_path: Path, monkeypatch):
    craft = IterativeCodeAttack.forward

    def fails(self, images, goal, victim):
        if self.num_items == 1:
            raise RuntimeError("no luck")
        return craft(self, images, goal, victim)

    monkeypatch.setattr(IterativeCodeAttack, "forward", fails)
    assert evaluate.main(arguments(tiny, tmp_path)) == 1
    found = rows(tmp_path)
    assert [row["attack"] for row in found if "error" in row] == ["P2P"] * 3
    assert all("no luck" in row["traceback"] for row in found if "error" in row)
    assert (tmp_path / "report.html").exists()


def test_missing_checkpoint_is_said_before_work(tiny: Tiny, tmp_path: Path):
    with pytest.raises(ValueError, match=r"nothing\.ckpt.*no such file"):
        evaluate.main(arguments(tiny, tmp_path, "--hashers.DPSH.checkpoint=nothing.ckpt"))


def test_too_many_purify_steps_are_said_before_work(tiny: Tiny, tmp_path: Path):
    with pytest.raises(ValueError, match=r"purify_steps=1001: expected 1\.\.1000"):
        evaluate.main(arguments(tiny, tmp_path, "--defences.RetPur.init_args.purify_steps=1001"))
    assert not any(tmp_path.iterdir())


def test_misspelled_option_is_said_before_work(tiny: Tiny, tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(arguments(tiny, tmp_path, "--attacks.P2P.init_args.iterationz=3"))
    assert "iterationz" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_unwritable_output_is_said_before_work(tiny: Tiny, tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match=r"output folder .*file cannot be written"):
        evaluate.main(arguments(tiny, tmp_path / "file"))


@pytest.mark.parametrize("plan", sorted((CONFIGS / "evaluation").glob("*.yaml")), ids=lambda path: path.stem)
def test_documented_plans_parse(plan: Path):
    config = evaluate.make_parser().parse_args(evaluate.merge_configs(["--config", str(plan)]))
    assert config.hashers
    # A plan without attacks is a table of hashing methods; training items are attacked for a purifier to learn from.
    assert config.defences or not config.attacks or config.split == "train"
