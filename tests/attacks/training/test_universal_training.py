"""The training of universal perturbations."""

from __future__ import annotations

import pytest
import torch

from lightning_modules.attacks import UniversalPerturbation
from lightning_modules.attacks.mainstay import mainstay_code
from lightning_modules.attacks.training.losses import masked_disagreement
from lightning_modules.types import CodeBook
from tests.attacks.training.conftest import train_attack
from tests.conftest import Tiny

EPS = 0.2
FLAGS = ("--model.init_args.min_count=1", f"--model.init_args.eps={EPS}", "--data.init_args.loader.batch_size=10")


@pytest.fixture(scope="module")
def trained(tiny: Tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("universal")
    cli = train_attack(tiny, "universal", out, *FLAGS, "--trainer.max_epochs=3")
    cli.trained_folder = out / "attack"
    return cli


def test_the_folder_is_the_attack(tiny: Tiny, trained):
    data, attack, model = tiny.open_data(), UniversalPerturbation(str(trained.trained_folder)), trained.model
    assert torch.equal(attack.deltas, model.deltas.detach())
    assert torch.equal(attack.labels, model.table[0])
    known = CodeBook(model.encode_split("train").to(torch.int8), data.labels("train"), data.ids("train"))
    assert torch.equal(attack.anchors, mainstay_code(model.table[0], known))
    unique, counts = torch.unique(data.labels("database"), dim=0, return_counts=True)
    assert torch.equal(attack.labels, unique[(counts > 1) & unique.bool().any(dim=1)])


def test_budget(trained):
    assert trained.model.deltas.abs().max() <= EPS
    assert (trained.model.deltas.flatten(1).abs().amax(dim=1) > 0.05).all(), "every target has learned"


@torch.no_grad()
def test_codes_of_unseen_pictures_come_nearer(tiny: Tiny, trained):
    attack, victim = UniversalPerturbation(str(trained.trained_folder)), trained.model.victim
    images = torch.cat([batch.to("cpu").image for batch in tiny.open_data().test_dataloader()[1]])
    gains = []
    for label in attack.labels:
        goal = attack.aim(label.expand(len(images), -1), ("q",) * len(images), None, seed=0)
        before, after = ((victim(x) * goal.code).mean() for x in (images, attack(images, goal, victim)))
        gains.append(after - before)
    assert torch.stack(gains).mean() > 0.02


def test_one_step_is_adam_on_every_target_by_itself(tiny: Tiny, trained, monkeypatch):
    """The gradient of a perturbation is that of its own loss, whatever the others are."""
    model = trained.model
    batch = next(iter(tiny.open_data().train_dataloader())).to("cpu")
    monkeypatch.setattr(model, "optimizers", lambda: torch.optim.SGD([model.deltas], lr=0.0))
    monkeypatch.setattr(model, "manual_backward", lambda loss: loss.backward())
    monkeypatch.setattr(model, "log", lambda *_, **__: None)
    model.training_step(batch, 0)
    for row in range(len(model.table[0])):
        delta = model.deltas.detach()[row].clone().requires_grad_()
        u = model.victim((batch.image + delta).clamp(0, 1))
        h = model.anchors[row].expand_as(u)
        active = (h - u).abs() > 0.3
        (gradient,) = torch.autograd.grad(1 - (h * u)[active].sum() / active.sum(), delta)
        torch.testing.assert_close(model.deltas.grad[row], gradient)


def test_masked_disagreement_by_loops():
    generator = torch.Generator().manual_seed(0)
    codes = 2 * torch.rand(4, 5, generator=generator, dtype=torch.float64) - 1
    wanted = torch.randint(2, (4, 5), generator=generator).double() * 2 - 1
    pairs = zip(codes.flatten().tolist(), wanted.flatten().tolist(), strict=True)
    counted = [h * u for u, h in pairs if abs(h - u) > 0.3]
    assert 0 < len(counted) < 20
    assert masked_disagreement(codes, wanted, 0.3).item() == pytest.approx(1 - sum(counted) / len(counted), rel=1e-12)
    assert torch.autograd.gradcheck(lambda u: masked_disagreement(u, wanted, 0.3), codes.requires_grad_())
    there = (wanted * 0.9).requires_grad_()
    loss = masked_disagreement(there, wanted, 0.3)
    assert (loss.item(), torch.autograd.grad(loss, there)[0].abs().sum().item()) == (1, 0)


def test_scores_reach_the_metrics(trained):
    assert trained.trainer.callback_metrics.keys() >= {"train/loss", "val/map", "val/t_map", "val/rmse"}
