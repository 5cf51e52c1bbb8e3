"""A dry run says what is stored and what the rest will take, and computes nothing."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file

import evaluate
from lightning_modules.evaluation.estimate import StageSize, estimate
from lightning_modules.evaluation.store import ArtifactStore, Stage
from lightning_modules.hashing import HashEncoder
from tests.conftest import evaluation_arguments

LEFT_OUT = [f"{attack}/{defence}" for attack in ("none", "P2P", "DHTA") for defence in ("RetPur", "blur")]
PLAN = ("--exclude", json.dumps([*LEFT_OUT, "DHTA/none"]))


def preview(tiny, output, capsys, *extra):
    evaluate.main([*evaluation_arguments(tiny, output, *PLAN, *extra), "--dry-run"])
    return capsys.readouterr().out


@pytest.fixture
def idle(monkeypatch):
    """Refuse every computation: of a network, of a stage."""

    def refuse(*_):
        pytest.fail("a dry run computes nothing")

    monkeypatch.setattr(HashEncoder, "forward", refuse)
    monkeypatch.setattr(Stage, "shard", refuse)


@pytest.mark.usefixtures("idle")
def test_nothing_is_computed_nor_written(tiny, tmp_path, capsys):
    text = preview(tiny, tmp_path, capsys)
    assert not any(tmp_path.iterdir())
    assert "targets 0/1 (time unknown), database 0/1 (time unknown)" in text
    assert "adversarial 0/3 (time unknown), codes 0/3 (time unknown)" in text
    assert "2 cells; 0 of 11 shards stored; time: unknown (5 stages were never measured" in text


def test_a_finished_store_needs_nothing_and_takes_what_was_said(tiny, tmp_path, capsys):
    said, unit = re.search(r"disk: ([\d.]+) (KiB|B) to be written", preview(tiny, tmp_path, capsys)).groups()
    assert evaluate.main(evaluation_arguments(tiny, tmp_path, *PLAN)) == 0
    capsys.readouterr()
    text = preview(tiny, tmp_path, capsys)
    assert "adversarial 3/3, codes 3/3" in text
    written = sum(tensor.nbytes for path in tmp_path.rglob("*.safetensors") for tensor in load_file(path).values())
    assert float(said) * {"B": 1, "KiB": 1024}[unit] == pytest.approx(written, rel=0.01)
    assert "2 cells; 11 of 11 shards stored; time: none; disk: 0 B to be written" in text
    # Another seed crafts other images: the attack is known, and so is its time.
    text = preview(tiny, tmp_path, capsys, "--seed", "5")
    assert re.search(r"adversarial 0/3 \(\S+ \w+, from 1 stored stage like it\), codes 0/3 \(.* 2 stored stages", text)
    assert "unknown" not in text


def stage(store, count=3, **facts):
    return store.stage("adversarial", {"version": 1, "attack": "P2P"} | facts, count)


def fill(one, shards, monkeypatch, seconds, side=4):
    clock = iter([0.0, seconds] * len(shards))
    with monkeypatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: next(clock))
        for shard in shards:
            one.shard(shard, lambda: {"images": torch.zeros(2, 3, side, side, dtype=torch.uint8)})


def size(one, items=5):
    return StageSize(one, items=items, per_shard=2, item_bytes=10, side=4)


def test_seconds_come_from_the_stages_own_shards(tmp_path, monkeypatch):
    store = ArtifactStore(str(tmp_path))
    fill(stage(store), [0], monkeypatch, 8.0)
    found = estimate(store, size(stage(store)))
    assert (found.stored, found.count, found.bytes) == (1, 3, 30)  # shards of 2 and 1 items are missing
    assert (found.seconds, found.source) == (12.0, "its own shards")


def test_seconds_come_from_finished_stages_that_do_the_same(tmp_path, monkeypatch):
    store = ArtifactStore(str(tmp_path))
    for seed, seconds in ((1, 2.0), (2, 4.0)):
        done = stage(store, 1, seed=seed)
        fill(done, [0], monkeypatch, seconds)
        done.finish()
    for other, side in (({"attack": "DHTA"}, 4), ({"through": "blur"}, 4), ({"seed": 9}, 8)):
        done = stage(store, 1, **other)
        fill(done, [0], monkeypatch, 1000.0, side)
        done.finish()
    unfinished = stage(store, 2, seed=8)
    fill(unfinished, [0], monkeypatch, 500.0)
    found = estimate(store, size(stage(store, seed=3)))
    assert (found.seconds, found.source) == (5 * 6.0 / 4, "2 stored stages like it")
    assert estimate(store, size(stage(store, attack="HAG"))).seconds is None


def test_a_stored_stage_takes_nothing(tmp_path, monkeypatch):
    store = ArtifactStore(str(tmp_path))
    fill(stage(store), [0, 1, 2], monkeypatch, 8.0)
    found = estimate(store, size(stage(store)))
    assert (found.seconds, found.bytes, found.source) == (0.0, 0, "stored")
