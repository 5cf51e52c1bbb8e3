"""The training of ProS-GAN's generator."""

from __future__ import annotations

import json

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_modules.attacks import ProSGAN, VictimFacts
from lightning_modules.attacks.folder import load_folder, save_folder
from lightning_modules.attacks.training.generative import linear_decay
from lightning_modules.hashing import HashingModule
from lightning_modules.types import binarize
from tests.attacks.training.conftest import train_attack
from tests.conftest import Tiny

SMALL = ("--model.init_args.channels=4", "--data.init_args.loader.batch_size=8")


def train_gan(tiny: Tiny, prototype, out, *extra: str):
    return train_attack(
        tiny, "pros-gan", out, f"--model.init_args.prototype={prototype.trained_folder}", *SMALL, *extra
    )


@pytest.fixture(scope="module")
def trained(tiny: Tiny, prototype, tmp_path_factory):
    out = tmp_path_factory.mktemp("gan")
    cli = train_gan(tiny, prototype, out)
    cli.trained_folder = out / "attack"
    return cli


def test_the_folder_is_the_attack(tiny: Tiny, trained, prototype):
    data, attack = tiny.open_data(), ProSGAN(str(trained.trained_folder))
    attack.check(VictimFacts(8, tuple(data.class_names), 16))
    assert attack.facts.victim == trained.model.victim_digest
    batch = next(iter(data.test_dataloader()[1])).to("cpu")
    target = data.labels("database")[: len(batch)]
    goal = attack.aim(target, batch.ids, None, seed=0)
    with torch.no_grad():
        made = trained.model.generator(2 * batch.image - 1, trained.model.prototype(target).semantic)
    torch.testing.assert_close(attack(batch.image, goal, None), (made + 1) / 2)


def test_the_prototype_network_stays_as_it_came(trained, prototype):
    _, before = load_folder(prototype.trained_folder, "ProSGANPrototype")
    after = trained.model.prototype.state_dict()
    assert all(torch.equal(before[f"prototype.{name}"], value) for name, value in after.items())


def test_checkpoint_holds_the_digest_of_the_victim_only(tiny: Tiny, trained):
    checkpoint = torch.load(trained.trainer.checkpoint_callback.best_model_path, weights_only=True)
    parts = {name.split(".")[0] for name in checkpoint["state_dict"]}
    assert parts == {"prototype", "generator", "discriminator"}
    assert checkpoint["retpur_victim"] == trained.model.victim_digest
    victim = HashingModule.load_from_checkpoint(tiny.hasher).image_encoder.state_dict()
    assert all(torch.equal(victim[k], v) for k, v in trained.model.victim.state_dict().items()), "frozen"


class Spy:
    """Stands for an optimiser: notes which networks have gradients when it steps."""

    def __init__(self, model, name, seen):
        self.model, self.name, self.seen = model, name, seen

    def zero_grad(self):
        for part in (self.model.generator, self.model.discriminator):
            part.zero_grad()

    def step(self):
        parts = {"generator": self.model.generator, "discriminator": self.model.discriminator}
        parts |= {"prototype": self.model.prototype, "victim": self.model.victim}
        touched = {k for k, net in parts.items() if any(p.grad is not None for p in net.parameters())}
        self.seen.append((self.name, touched))


def test_every_step_reaches_its_network_only_and_d_learns_every_third_time(tiny: Tiny, trained, monkeypatch):
    model, seen = trained.model, []
    model.zero_grad(set_to_none=True)
    batch = next(iter(tiny.open_data().train_dataloader())).to("cpu")
    monkeypatch.setattr(model, "optimizers", lambda: [Spy(model, n, seen) for n in ("generator", "discriminator")])
    monkeypatch.setattr(model, "manual_backward", lambda loss: loss.backward())
    monkeypatch.setattr(model, "log", lambda *_, **__: None)
    for index in range(7):
        model.training_step(batch, index)
    assert seen == [
        (name, {name})
        for index in range(7)
        for name in (("discriminator", "generator") if index % 3 == 0 else ("generator",))
    ]
    assert all(parameter.requires_grad for parameter in model.discriminator.parameters())


def test_losses_are_the_published_sum(tiny: Tiny, trained, monkeypatch):
    """Both losses written once more, from what the networks give."""
    model, logged = trained.model, {}
    monkeypatch.setattr(model, "log", lambda name, value, **_: logged.update({name: float(value)}))
    batch = next(iter(tiny.open_data().train_dataloader())).to("cpu")
    (target,), x = model.targets(batch, "epoch-0"), 2 * batch.image - 1
    with torch.no_grad():
        prototype = model.prototype(target)
        made = model.generator(x, prototype.semantic)
        d_loss = model.discriminator_loss(x, batch.label, made, target)
        model.discriminator.eval()  # no power iteration in between
        g_loss = model.generator_loss(x, made, target, binarize(prototype.code))
        judged = model.discriminator(made)
        u = model.victim((made + 1) / 2)
    model.discriminator.train()
    zero, one = torch.zeros(len(x), 1), torch.ones(len(x), 1)
    gan = ((judged - torch.cat([target, zero], 1)) ** 2).mean()
    hashing = 1 - (u * prototype.code.sign()).mean()
    expected = 100 * ((made - x) ** 2).mean() + 5 * hashing + gan
    torch.testing.assert_close(g_loss, expected)
    assert logged["train/hashing"] == pytest.approx(hashing.item(), rel=1e-5)
    with torch.no_grad():
        model.discriminator.eval()
        real = ((model.discriminator(x) - torch.cat([batch.label, zero], 1)) ** 2).mean()
        fake = ((judged - torch.cat([target, one], 1)) ** 2).mean()
        model.discriminator.train()
    assert d_loss.item() == pytest.approx((real + fake).item() / 2, rel=0.05)  # two power iterations apart


def test_targets_belong_to_seed_epoch_and_sample(tiny: Tiny, trained):
    batch = next(iter(tiny.open_data().train_dataloader())).to("cpu")
    (whole,) = trained.model.targets(batch, "epoch-3")
    parts = torch.cat([trained.model.targets(part, "epoch-3")[0] for _, part in batch.split(3)])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, trained.model.targets(batch, "epoch-4")[0])
    assert {tuple(row) for row in whole.tolist()} <= {tuple(row) for row in trained.model.table[0].tolist()}


def test_published_decay():
    assert [linear_decay(epoch, 50, 50) for epoch in (0, 49, 50, 99)] == [1, 1, 1 - 1 / 51, 1 - 50 / 51]


def test_learning_rates_decay_for_both(tiny: Tiny, prototype, tmp_path):
    flags = ("--trainer.max_epochs=3", "--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0")
    cli = train_gan(tiny, prototype, tmp_path, *flags)
    rates = [config.scheduler.get_last_lr() for config in cli.trainer.lr_scheduler_configs]
    assert rates == [[pytest.approx(1e-4 * linear_decay(3, 1, 2))]] * 2


def test_resume_equals_uninterrupted(tiny: Tiny, prototype, tmp_path):
    flags = ("--trainer.limit_val_batches=0", "--data.init_args.loader.batch_size=40", "--trainer.max_epochs=2")
    flags += ("--model.init_args.constant_epochs=1",)
    whole = train_gan(tiny, prototype, tmp_path / "whole", *flags)
    train_gan(tiny, prototype, tmp_path / "parts", *flags, "--trainer.max_epochs=1")
    resumed = train_gan(tiny, prototype, tmp_path / "parts", *flags, "--ckpt_path=last")
    assert resumed.trainer.global_step == whole.trainer.global_step
    for name, value in whole.model.state_dict().items():
        # One batch holds all items, so that the order of the second epoch changes sums by rounding only.
        # Singular vectors of the spectral norm, random at first, are not settled after two steps.
        slack = 5e-2 if name.endswith(("_u", "_v")) else 1e-4
        torch.testing.assert_close(resumed.model.state_dict()[name], value, rtol=1e-3, atol=slack, msg=name)


def test_bfloat16(tiny: Tiny, prototype, tmp_path):
    cli = train_gan(tiny, prototype, tmp_path, "--trainer.precision=bf16-mixed", "--trainer.limit_train_batches=2")
    assert all(value.isfinite() for value in cli.trainer.callback_metrics.values())
    assert all(p.dtype == torch.float32 for p in cli.model.parameters())


def test_tensorboard_shows_losses_scores_and_pictures(trained):
    board = EventAccumulator(trained.trainer.log_dir).Reload()
    losses = ("reconstruction", "hashing", "adversarial", "discriminator", "loss")
    expected = {f"train/{name}" for name in losses} | {"val/map", "val/t_map", "val/rmse"}
    assert expected <= set(board.Tags()["scalars"])
    assert "attack/validation" in board.Tags()["images"]


def test_a_prototype_network_of_another_hasher_is_refused(tiny: Tiny, prototype, tmp_path):
    facts, tensors = load_folder(prototype.trained_folder, "ProSGANPrototype")
    save_folder(tmp_path / "copy", facts, tensors)
    config = tmp_path / "copy/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"victim": "0" * 64}))
    with pytest.raises(ValueError, match="trained against another hasher"):
        train_gan(tiny, prototype, tmp_path, f"--model.init_args.prototype={tmp_path / 'copy'}")


@pytest.mark.parametrize("flag", ["w_rec=0", "d_every=0", "channels=-1"])
def test_impossible_options_are_refused(tiny: Tiny, prototype, tmp_path, flag):
    with pytest.raises((ValueError, SystemExit)):
        train_gan(tiny, prototype, tmp_path, f"--model.init_args.{flag}")
