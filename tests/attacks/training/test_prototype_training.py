"""The training of prototype networks."""

from __future__ import annotations

import json

import pytest
import torch

from lightning_modules.attacks.folder import load_folder
from lightning_modules.hashing import HashingModule, digest_of_encoder
from lightning_modules.retrieval.metrics import average_precisions
from lightning_modules.types import binarize
from tests.attacks.training.conftest import SHORT, train_attack
from tests.conftest import Tiny


def test_it_writes_what_the_second_stage_starts_from(tiny: Tiny, prototype):
    facts, tensors = load_folder(prototype.trained_folder, "ProSGANPrototype")
    encoder = HashingModule.load_from_checkpoint(tiny.hasher).image_encoder
    data = tiny.open_data()
    assert (facts.num_bits, facts.num_classes, facts.image_size) == (8, 24, None)
    assert facts.class_names == tuple(data.class_names)
    assert facts.victim == digest_of_encoder(encoder)
    trained = prototype.model.prototype.state_dict()
    assert {f"prototype.{name}" for name in trained} == tensors.keys()
    assert all(torch.equal(tensors[f"prototype.{name}"], value) for name, value in trained.items())


def test_codes_are_those_of_the_training_images_in_order(tiny: Tiny, prototype):
    data, module = tiny.open_data(), HashingModule.load_from_checkpoint(tiny.hasher)
    codes = torch.cat([module.encode(data.dataset("train")[i].image[None] / 255) for i in range(10)])
    assert torch.equal(prototype.model.codes[:10].to(torch.int8), codes)
    assert torch.equal(prototype.model.code_labels, data.labels("train"))


def test_labels_are_drawn_uniformly_from_the_combinations_of_the_database(tiny: Tiny, prototype):
    model = prototype.model
    known = {tuple(row) for row in tiny.open_data().labels("database").tolist()}
    assert {tuple(row) for row in model.table[0].tolist()} == known - {(0,) * 24}
    drawn = torch.cat([model.draw(step)[0] for step in range(2000)])
    counts = torch.unique(drawn, dim=0, return_counts=True)[1]
    assert len(counts) == len(model.table[0])
    expected = len(drawn) / len(counts)
    statistic = ((counts - expected) ** 2 / expected).sum()  # chi-square of len(counts) - 1 degrees of freedom
    degrees = len(counts) - 1
    assert abs(statistic - degrees) < 5 * (2 * degrees) ** 0.5
    assert torch.equal(model.draw(3)[0], model.draw(3)[0])
    assert not torch.equal(model.draw(3)[0], model.draw(4)[0])


def test_the_checkpoint_holds_no_victim(prototype):
    path = (
        prototype.trainer.checkpoint_callback.last_model_path or prototype.trainer.checkpoint_callback.best_model_path
    )
    checkpoint = torch.load(path, weights_only=True)
    assert not any("encoder" in name or "victim" in name for name in checkpoint["state_dict"])
    assert checkpoint["retpur_victim"] == prototype.model.victim_digest
    assert len(checkpoint["retpur_victim"]) == 64


def test_learning_rate_falls_at_half_and_three_quarters(tiny: Tiny, tmp_path):
    cli = train_attack(tiny, "pros-gan-prototype", tmp_path, *SHORT, "--model.init_args.steps_per_epoch=8")
    (schedule,) = (config.scheduler for config in cli.trainer.lr_scheduler_configs)
    assert dict(schedule.milestones) == {4: 1, 6: 1}
    assert schedule.get_last_lr() == [pytest.approx(1e-6)]


def test_resume_equals_uninterrupted(tiny: Tiny, tmp_path):
    flags = (*SHORT, "--trainer.max_epochs=2", "--model.init_args.decay_at=[]")
    whole = train_attack(tiny, "pros-gan-prototype", tmp_path / "whole", *flags)
    train_attack(tiny, "pros-gan-prototype", tmp_path / "parts", *flags, "--trainer.max_epochs=1")
    resumed = train_attack(tiny, "pros-gan-prototype", tmp_path / "parts", *flags, "--ckpt_path=last")
    assert resumed.trainer.global_step == whole.trainer.global_step == 8
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_another_hasher_is_refused_on_resume(tiny: Tiny, tmp_path, prototype):
    changed = torch.load(tiny.hasher, weights_only=True)
    changed["state_dict"]["encoders.image.hash_layer.bias"] += 1
    torch.save(changed, tmp_path / "other.ckpt")
    path = prototype.trainer.checkpoint_callback.best_model_path
    with pytest.raises(ValueError, match="another hasher than"):
        train_attack(
            tiny, "pros-gan-prototype", tmp_path, *SHORT,
            f"--model.init_args.hasher={tmp_path / 'other.ckpt'}", f"--ckpt_path={path}",
        )  # fmt: skip


def test_prototype_map_is_that_of_the_codes(prototype):
    model = prototype.model
    known = (model.codes.to(torch.int8), model.code_labels)
    scores = average_precisions(binarize(model.prototype(model.table[0]).code), model.table[0], *known)
    assert prototype.trainer.callback_metrics["val/prototype_map"] == pytest.approx(scores.nan_to_num().mean().item())


def test_metrics_reach_tensorboard(prototype):
    terms = {f"train/{name}" for name in ("similarity", "quantisation", "classification", "loss")}
    assert prototype.trainer.callback_metrics.keys() >= terms | {"val/prototype_map"}


def test_the_folder_is_readable(prototype):
    config = json.loads((prototype.trained_folder / "config.json").read_text())
    assert config["attack"] == "ProSGANPrototype"
    assert config["dataset"] == "scenes"
