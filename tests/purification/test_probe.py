"""The probe: a few steps only, and a number that fits what the whole takes."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from lightning_modules.defences import GaussianBlur
from lightning_modules.purification import Denoiser, Diffusion, DiffusionPurifier, DiffusionSchedule
from lightning_modules.purification.probe import Cost, probe

DELAY = 0.01


class Slow(nn.Module):
    """A network that takes its time and counts its calls."""

    def __init__(self):
        super().__init__()
        self.config = {"block_out_channels": [8], "in_channels": 3, "out_channels": 3, "sample_size": 16}
        self.weight = nn.Parameter(torch.zeros(1))
        self.calls = 0

    def forward(self, x, timesteps):
        self.calls += 1
        time.sleep(DELAY)
        return type("Output", (), {"sample": torch.zeros_like(x)})


def purifier(**options):
    return DiffusionPurifier(Diffusion(Denoiser(Slow()), DiffusionSchedule.linear()), **options)


def test_only_the_first_steps_are_taken():
    slow = purifier(purify_steps=400)
    cost = probe(slow, torch.rand(2, 3, 16, 16))
    assert slow.denoiser.unet.calls == 2
    assert 400 * DELAY < cost.seconds < 400 * DELAY * 20
    assert cost.bytes > 2**20
    # Nothing stays behind: the purifier runs to its end afterwards.
    short = purifier(purify_steps=3)
    probe(short, torch.rand(2, 3, 16, 16))
    before = short.denoiser.unet.calls
    short(torch.rand(1, 3, 16, 16))
    assert short.denoiser.unet.calls == before + 3


def test_parted_batches_are_counted():
    cost = probe(purifier(purify_steps=100, batch_size=1), torch.rand(6, 3, 16, 16))
    assert cost.seconds > 6 * 100 * DELAY


@pytest.mark.parametrize("options", [{"purify_steps": 45, "calls": 1}, {"purify_steps": 2}])
def test_short_chains_are_measured_whole(options):
    few = purifier(**options)
    cost = probe(few, torch.rand(1, 3, 16, 16))
    assert few.denoiser.unet.calls == few.calls
    assert cost.seconds > few.calls * DELAY


def test_other_defences_run_once():
    assert 0 < probe(GaussianBlur(), torch.rand(2, 3, 16, 16)).seconds < 60


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "about 0.5 s and 1.5 GiB"), (90, "about 1.5 min"), (7300, "about 2.03 h")]
)
def test_an_estimate_is_one_sentence(seconds, text):
    assert text in Cost(seconds / 4, 3 * 2**29).estimate(4)
