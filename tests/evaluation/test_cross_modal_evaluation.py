"""A cross-modal hasher in an evaluation: every direction and convention, against scores of codes made here."""

from __future__ import annotations

import json

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import evaluate
from datamodules.text import BagOfWords
from lightning_modules.attacks import TADCH, IterativeCodeAttack
from lightning_modules.attacks.folder import AttackFacts, prefixed, save_folder
from lightning_modules.attacks.networks import FusionPrototypeNet, TADCHGenerator
from lightning_modules.evaluation.stages import QuerySet, adversarial_stage, database_stage, targets_stage
from lightning_modules.evaluation.store import ArtifactStore
from lightning_modules.hashing import HashingModule, load_hasher
from lightning_modules.retrieval.metrics import average_precisions
from lightning_modules.retrieval.targets import draw_target_rows
from lightning_modules.types import binarize
from tests.conftest import CONF, fit, open_tiny_data

CONVENTIONS = {"": {}, "_top5": {"kind": "truncated", "k": 5}, "_hits5": {"kind": "first_hits", "k": 5}}
TEXT = {"class_path": "datamodules.text.BagOfWords"}


@pytest.fixture(scope="module")
def hasher(tmp_path_factory):
    root = tmp_path_factory.mktemp("cross-evaluation")
    cli = fit("tiny-cross.yaml", root=root, run="dcmh", extra=("--model.init_args.loss=DCMHLoss",))
    return root / "dcmh/checkpoints/last.ckpt", cli.datamodule.cache_dir


def save_ta_dch(folder, data):
    """Write an untrained TA-DCH that fits the tiny hasher."""
    torch.manual_seed(0)
    networks = {
        "prototype": FusionPrototypeNet(data.num_classes, data.text_width, num_bits=8, hidden=6),
        "generator": TADCHGenerator(image_size=16, channels=4),
    }
    facts = AttackFacts("TADCH", 8, data.num_classes, 16, options={"channels": 4, "hidden": 6})
    table = {"labels": data.labels("train"), "texts": data.text_features("train")}
    save_folder(folder, facts, prefixed(networks) | table)
    return {"class_path": "lightning_modules.attacks.TADCH", "init_args": {"folder": str(folder)}}


@pytest.fixture(scope="module")
def done(hasher, tmp_path_factory):
    """Rows by attack and defence, what each attack was told, and the output folder."""
    checkpoint, cache = hasher
    output = tmp_path_factory.mktemp("output")
    tiny, data = yaml.safe_load((CONF / "tiny-evaluation.yaml").read_text()), open_tiny_data(cache, BagOfWords())
    tiny["datasets"]["scenes"]["init_args"] |= {"cache_dir": str(cache), "text": TEXT}
    plan = {
        "name": "Tiny",
        "output": str(output),
        "datasets": tiny["datasets"],
        "hashers": {"DCMH": {"dataset": "scenes", "checkpoint": str(checkpoint)}},
        "attacks": {"P2P": tiny["attacks"]["P2P"], "TA-DCH": save_ta_dch(output / "ta-dch", data)},
        "defences": {"blur": tiny["defences"]["blur"]},
        "exclude": ["P2P/blur", "TA-DCH/blur"],
        "targets": {"pool": "rows"},
        "shard_size": 3,
        "cutoff": 5,
    }
    (output / "plan.yaml").write_text(yaml.safe_dump(plan))
    goals = {IterativeCodeAttack: [], TADCH: []}

    def watch(kind, forward):
        def told(self, images, goal, victim):
            goals[kind].append(goal)
            return forward(self, images, goal, victim)

        return told

    with pytest.MonkeyPatch.context() as patch:
        for kind in goals:
            patch.setattr(kind, "forward", watch(kind, kind.forward))
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


@pytest.mark.parametrize("attack", [IterativeCodeAttack, TADCH])
def test_an_attack_is_told_the_text_of_its_target(hasher, done, attack):
    """Label and text of one database item, drawn once."""
    _, cache = hasher
    data = open_tiny_data(cache, BagOfWords())
    rows = draw_target_rows(data.labels("query"), data.ids("query"), data.labels("database"))
    goals = done[1][attack]
    assert torch.equal(torch.cat([goal.text for goal in goals]), data.text_features("database")[rows])
    assert torch.equal(torch.cat([goal.label for goal in goals]), data.labels("database")[rows])


def test_ta_dch_aims_at_the_prototype_of_label_and_text(hasher, done):
    _, cache = hasher
    data, attack = open_tiny_data(cache, BagOfWords()), TADCH(str(done[2] / "ta-dch"))
    rows = draw_target_rows(data.labels("query"), data.ids("query"), data.labels("database"))
    with torch.no_grad():
        wanted = attack.prototype(data.labels("database")[rows], data.text_features("database")[rows])
    assert torch.equal(torch.cat([goal.code for goal in done[1][TADCH]]), binarize(wanted.code))


def test_attacked_images_depend_on_the_target_texts_that_an_attack_reads(tmp_path):
    store = ArtifactStore(tmp_path)
    queries = QuerySet({}, "query", 1, 1, 1)
    stages = (targets_stage(store, queries, {}), database_stage(store, {}, "database", "hasher", 1, 1))
    attack = IterativeCodeAttack()
    keys = [adversarial_stage(store, queries, *stages, attack, 0, texts=texts).key for texts in (None, "a", "b", "a")]
    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_tensorboard_lists_the_texts_that_an_image_retrieves(done):
    """Of the attack's cell: what original and attacked image find, by captions."""
    events = EventAccumulator(str(next((done[2] / "tensorboard").glob("*TA-DCH*"))), size_guidance={"tensors": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith("retrieval/")]
    assert len(tags) == 3  # of the first step
    table = events.Tensors(tags[0])[0].tensor_proto.string_val[0].decode().splitlines()
    assert table[0] == "| rank | original | attacked |"
    assert len(table) == 12
    assert all(line.count("**") == 4 for line in table[2:])


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


def test_images_and_texts_are_exported_to_tables_of_their_own(done, tmp_path):
    arguments = ["--config", str(done[2] / "plan.yaml"), "--trainer.accelerator", "cpu", "--out", str(tmp_path)]
    assert evaluate.main(["export", *arguments, "--hasher", "DCMH", "--formats", "[pgvector]"]) == 0
    for folder, table in (("images", "codes"), ("texts", "text_codes")):
        script = (tmp_path / folder / "pgvector.sql").read_text()
        assert f"\nCREATE TABLE {table} (" in script
        assert f"\nCOPY {table} (" in script
