"""CodeTarget against its formula, written image by image in float64, and what it is made for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lightning_modules.hashing.checkpoints import load_encoder
from lightning_modules.purification.objectives import CleanTarget, CodeTarget
from tests.conftest import CONFIGS, Tiny
from tests.purification.objectives.test_ddpm_objectives import SCHEDULE, at, draws, inverted, kept, pair
from tests.purification.pairs.test_pairs import finetune

STEPS = (1, 5, 20, 45, 200)


@pytest.fixture
def victim():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 6), nn.Tanh()).double().requires_grad_(False)


def opened(victim, **options):
    objective = CodeTarget("none.ckpt", **options)
    objective._encoder = victim
    return objective


@pytest.mark.parametrize("weighting", ["none", "noise", "x0"])
def test_the_loss_is_the_formula(victim, weighting):
    images, chosen = pair(), draws(at(STEPS))
    loss = opened(victim, code_weight=2.5, weighting=weighting)(
        lambda x, t: 0.5 * x.sin(), SCHEDULE, images, (1, 1000), chosen
    )
    in_pixels = CleanTarget(weighting)(lambda x, t: 0.5 * x.sin(), SCHEDULE, images, (1, 1000), chosen)
    for row, t in enumerate(STEPS):
        a = kept(t)
        x = math.sqrt(a) * images.adversarial[row] + math.sqrt(1 - a) * chosen.noise[row]
        implied = (inverted(x, 0.5 * x.sin(), t) + 1) / 2
        code = [1 if value >= 0 else -1 for value in victim((images.clean[row : row + 1] + 1) / 2)[0].tolist()]
        relaxed = victim(implied.clamp(0, 1)[None])[0].tolist()
        cosine = sum(u * c for u, c in zip(relaxed, code, strict=True)) / math.sqrt(6 * sum(u * u for u in relaxed))
        assert loss[row].item() == pytest.approx(in_pixels[row].item() + 2.5 * (1 - cosine), rel=1e-9)


def test_the_gradient_in_the_answer(victim):
    images, chosen = pair(2), draws(at((3, 60)))

    def loss(answer):
        return opened(victim)(lambda x, t: answer, SCHEDULE, images, (1, 1000), chosen)

    target = CleanTarget().regression(SCHEDULE, images, torch.tensor([2, 59]), chosen).target
    noise = torch.randn(target.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(loss, (target + 0.01 * noise).requires_grad_())


def test_without_a_weight_it_is_clean_target(victim):
    images, chosen = pair(), draws(at(STEPS))
    losses = [
        one(lambda x, t: x, SCHEDULE, images, (1, 1000), chosen)
        for one in (opened(victim, code_weight=0), CleanTarget("none"))
    ]
    assert torch.equal(*losses)


def test_a_change_that_no_code_sees_costs_nothing_more(victim):
    images, chosen = pair(1), draws(at((20,)))
    target = CleanTarget().regression(SCHEDULE, images, torch.tensor([19]), chosen).target
    weight = victim[1].weight
    change = torch.randn(1, 192, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    seen = change @ torch.linalg.pinv(weight) @ weight  # its part in the row space
    unseen, scale = change - seen, 0.01

    def code_term(answer):
        terms = [
            one(lambda x, t: answer, SCHEDULE, images, (1, 1000), chosen)
            for one in (opened(victim), CleanTarget("none"))
        ]
        return float(terms[0] - terms[1])

    still = code_term(target + scale * unseen.view_as(target))
    assert still == pytest.approx(code_term(target), rel=1e-9)
    assert abs(code_term(target + scale * seen.view_as(target)) - still) > 1e-6


def test_the_command_trains_it_and_its_checkpoint_holds_no_victim(tiny: Tiny, tmp_path):
    flags = ["--config", str(CONFIGS / "purification/code-target.yaml")]
    flags += ["--model.init_args.objective.init_args.victim", str(tiny.hasher)]
    flags += ["--model.init_args.pairs.init_args.victim", str(tiny.hasher)]
    cli = finetune(tiny, tmp_path, *flags, "--model.init_args.pairs.init_args.pool=unique")
    assert (cli.trainer.global_step, cli.model.t_range, cli.model.augmentation) == (2, (5, 30), None)
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert all(name.startswith(("denoiser.", "ema.")) for name in checkpoint["state_dict"])
    encoder = load_encoder(str(tiny.hasher), tiny.open_data())
    for name, value in cli.model.objective._encoder.state_dict().items():
        assert torch.equal(value, encoder.state_dict()[name]), "the victim learns nothing"


def test_what_is_wrong_is_said_before_work(tiny: Tiny):
    with pytest.raises(ValueError, match="code_weight=-1: expected at least 0"):
        CodeTarget("none.ckpt", code_weight=-1)
    with pytest.raises(ValueError, match=r"none\.ckpt.*no such file"):
        CodeTarget("none.ckpt").setup(tiny.open_data(), torch.device("cpu"))
    with pytest.raises(RuntimeError, match="setup"):
        CodeTarget("none.ckpt")(lambda x, t: x, SCHEDULE, pair(), (1, 1000), draws(at(STEPS)))
