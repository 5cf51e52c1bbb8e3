"""The loop that all gradient attacks share."""

import pytest
import torch

from lightning_modules.attacks.descent import Descent
from lightning_modules.attacks.steps import steepest

IMAGES = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def brightness(images, alpha=1.0):
    return torch.tanh(alpha * images.flatten(1).mean(dim=1, keepdim=True))


def darker(encode, adversarial):
    return encode(adversarial)[:, 0]


def test_the_slope_follows_the_schedule():
    seen = []

    def victim(images, alpha=1.0):
        seen.append(alpha)
        return brightness(images, alpha)

    Descent(10, 0.1, "relative").run(IMAGES, victim, darker, steepest("sign", 0.01), torch.zeros_like(IMAGES))
    assert seen == [0.1] * 5 + [0.2, 0.3, 0.5, 0.7, 1.0]


def test_every_step_ends_within_budget_and_range():
    def check(encode, adversarial):
        assert (adversarial - IMAGES).abs().max() <= 0.1 + 1e-7
        assert adversarial.min() >= 0
        return encode(adversarial)[:, 0]

    found = Descent(20, 0.1).run(IMAGES, brightness, check, steepest("sign", 0.07), torch.zeros_like(IMAGES))
    assert torch.equal(found, (IMAGES - 0.1).clamp(0, 1))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("rule", ["raw", "sign", "l2"])
def test_a_broken_victim_is_said_and_its_image_named(rule, value):
    """A gradient that is NaN would otherwise become a picture of zeros."""

    def victim(images, alpha=1.0):
        factor = torch.ones(3, 1)
        factor[1] = value
        return brightness(images, alpha) * factor - brightness(images, alpha) * factor

    with pytest.raises(ValueError, match="image 1 of the batch: the victim's gradient is NaN or infinite"):
        Descent(2, 0.1).run(IMAGES, victim, darker, steepest(rule, 0.01), torch.zeros_like(IMAGES))


@pytest.mark.parametrize("options", [{"eps": 0.0}, {"iterations": 0}, {"precision": "half"}, {"alpha_schedule": "x"}])
def test_impossible_options_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}="):
        Descent(**{"iterations": 1, "eps": 0.1} | options)
