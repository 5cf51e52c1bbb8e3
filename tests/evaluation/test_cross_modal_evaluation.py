"""A cross-modal hasher in an evaluation: every direction and convention, against scores of codes made here."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

import evaluate
from datamodules.text import BagOfWords
from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.hashing import HashingModule, load_hasher
from lightning_modules.retrieval.metrics import average_precisions
from lightning_modules.retrieval.targets import draw_target_rows
from tests.conftest import CONF, fit, open_tiny_data

CONVENTIONS = {"": {}, "_top5": {"kind": "truncated", "k": 5}, "_hits5": {"kind": "first_hits", "k": 5}}
TEXT = {"class_path": "datamodules.text.BagOfWords"}


@pytest.fixture(scope="module")
def hasher(tmp_path_factory):
    root = tmp_path_factory.mktemp("cross-evaluation")
    cli = fit("tiny-cross.yaml", root=root, run="dcmh", extra=("--model.init_args.loss=DCMHLoss",))
    return root / "dcmh/checkpoints/last.ckpt", cli.datamodule.cache_dir


@pytest.fixture(scope="module")
def done(hasher, tmp_path_factory):
    """Rows by attack and defence, what the attack was told, and the output folder."""
    checkpoint, cache = hasher
    output = tmp_path_factory.mktemp("output")
    tiny = yaml.safe_load((CONF / "tiny-evaluation.yaml").read_text())
    tiny["datasets"]["scenes"]["init_args"] |= {"cache_dir": str(cache), "text": TEXT}
    plan = {
        "name": "Tiny",
        "output": str(output),
        "datasets": tiny["datasets"],
        "hashers": {"DCMH": {"dataset": "scenes", "checkpoint": str(checkpoint)}},
        "attacks": {"P2P": tiny["attacks"]["P2P"]},
        "defences": {"blur": tiny["defences"]["blur"]},
        "exclude": ["P2P/blur"],
        "targets": {"pool": "rows"},
        "shard_size": 3,
        "cutoff": 5,
    }
    (output / "plan.yaml").write_text(yaml.safe_dump(plan))
    goals, forward = [], IterativeCodeAttack.forward

    def watch(self, images, goal, victim):
        goals.append(goal)
        return forward(self, images, goal, victim)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IterativeCodeAttack, "forward", watch)
        assert evaluate.main(["--config", str(output / "plan.yaml"), "--trainer.accelerator", "cpu"]) == 0
    rows = json.loads((output / "results.json").read_text())
    return {(row["attack"], row["defence"]): row for row in rows}, goals, output


def test_the_clean_row_scores_every_direction(hasher, done):
    checkpoint, cache = hasher
    module, data = (
        HashingModule.load_from_checkpoint(checkpoint, weights_only=True),
        open_tiny_data(cache, BagOfWords()),
    )
    codes, labels = {}, {}
    for split, loader in zip(("database", "query"), data.test_dataloader(), strict=True):
        codes["i", split] = torch.cat([module.encode(batch.image) for batch in loader])
        codes["t", split] = module.encode_text(data.text_features(split))
        labels[split] = data.labels(split)
    target = draw_target_rows(labels["query"], data.ids("query"), labels["database"])
    wanted = {"map": labels["query"], "t_map": labels["database"][target]}
    row, seen = done[0]["none", "none"], 0
    for asking, ranked in ("ii", "it", "ti", "tt"):
        for metric in ("map", "t_map") if asking == "i" else ("map",):
            for suffix, options in CONVENTIONS.items():
                arguments = (codes[asking, "query"], wanted[metric], codes[ranked, "database"], labels["database"])
                expected = average_precisions(*arguments, **options).nan_to_num(0).mean()
                assert row[f"{metric}{suffix}_{asking}2{ranked}"] == pytest.approx(float(expected)), suffix
                seen += 1
    assert seen == 18
    assert (row["map_i2i"], row["t_map_i2i"]) == (row["map"], row["t_map"])


def test_texts_ask_in_the_clean_row_only(done):
    for cell, row in done[0].items():
        assert ("map_t2i" in row) == (cell == ("none", "none"))
        assert row["map_i2t_low"] <= row["map_i2t"] <= row["map_i2t_high"]
        assert "t_map_hits5_i2t" in row


def test_an_attack_is_told_the_text_of_its_target(hasher, done):
    """Label and text of one database item, drawn once."""
    _, cache = hasher
    data = open_tiny_data(cache, BagOfWords())
    rows = draw_target_rows(data.labels("query"), data.ids("query"), data.labels("database"))
    goals = done[1]
    assert torch.equal(torch.cat([goal.text for goal in goals]), data.text_features("database")[rows])
    assert torch.equal(torch.cat([goal.label for goal in goals]), data.labels("database")[rows])


def test_table_and_report_name_what_was_scored(done, capsys):
    rows, _, output = done
    for name in ("report.md", "report.html"):
        text = (output / name).read_text()
        for title in ("MAP, I2T", "T-MAP, first 5 hits, I2T", "MAP, first 5 ranks, T2T"):
            assert title in text, (name, title)
        assert f"{rows['none', 'none']['map_t2i']:.3f}" in text


def test_text_features_of_another_kind_are_refused(hasher):
    checkpoint, cache = hasher
    with pytest.raises(ValueError, match=r"was trained on \d+ text features .*, the data set 'scenes' has 3 "):
        load_hasher(str(checkpoint), open_tiny_data(cache, BagOfWords(max_features=3)))
    with pytest.warns(UserWarning, match="trained on other text features"):
        load_hasher(str(checkpoint), open_tiny_data(cache, BagOfWords(binary=True)))
    assert load_hasher(str(checkpoint), open_tiny_data(cache)).text_encoder is not None
