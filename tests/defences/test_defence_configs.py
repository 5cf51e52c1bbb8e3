"""Every defence of configs/defence, built from its file, with a tiny network in place of the pretrained one."""

import pytest
import torch

from lightning_modules.configurable import build
from lightning_modules.defences import Defence
from lightning_modules.evaluation.compose import compose
from lightning_modules.purification import DiffusionPurifier
from tests.conftest import CONFIGS, Tiny

FILES = sorted((CONFIGS / "defence").glob("*.yaml"))


def defence_of(file, tiny: Tiny) -> Defence:
    plan = compose([file])
    assert list(plan) == ["defences"], "a fragment belongs to one axis"
    ((_, spec),) = plan["defences"].items()
    if "model" in spec["init_args"]:
        spec["init_args"]["model"] = str(tiny.ddpm)
    return build(spec, Defence)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_defence_defends(file, tiny: Tiny):
    defence = defence_of(file, tiny)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    defended = defence(images, ["a", "b"])
    assert defended.shape == images.shape
    assert float(defended.min()) >= 0
    assert float(defended.max()) <= 1 + 1e-6
    assert 1e-3 < float((defended - images).abs().mean()) < 0.6
    # One sample by itself, with the randomness of its own id. Strong guidance of a random network amplifies rounding.
    assert float((defence(images[1:], ["b"]) - defended[1:]).abs().mean()) < 1e-3


def test_names_differ_and_no_file_repeats_another():
    plans = [compose([file])["defences"] for file in FILES]
    names = [name for plan in plans for name in plan]
    assert len(set(names)) == len(names) == len(FILES)
    specs = [str(spec) for plan in plans for spec in plan.values()]
    assert len(set(specs)) == len(specs)


def purifier(name, tiny: Tiny) -> DiffusionPurifier:
    return defence_of(CONFIGS / f"defence/{name}.yaml", tiny)


def test_gdmp_pulls_as_its_repository_does(tiny: Tiny):
    # Its CIFAR-10 file at a batch of 100: K = 0.026 per round of 36 steps; s of its ImageNet file at a batch of 60 runs
    # from 956 / 60 at the last step to 60,000 / 60 at the first.
    _, pull = purifier("gdmp-cifar10", tiny).strength(32, 32)
    alpha_bars = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), dim=0)
    first = purifier("gdmp-imagenet", tiny)
    scales = [
        first.options.scale * float((1 / alpha_bars[t] - 1).sqrt()) * 60 for t in first.schedule.timesteps[[0, 44]]
    ]
    assert pull == pytest.approx(0.026 * 4, rel=0.03)
    assert scales == pytest.approx([956, 60_000], rel=0.01)


def test_the_rivals_call_their_network_as_often_as_published(tiny: Tiny):
    calls = {"retpur": 45, "gdmp-cifar10": 36, "gdmp-imagenet": 45, "diffpure": 100, "diffpure-imagenet": 150}
    calls |= {"one-call": 1, "few-calls": 5, "retpur-250": 45, "no-guidance": 45}
    for name, count in calls.items():
        assert purifier(name, tiny).calls == count
