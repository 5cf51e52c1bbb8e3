"""Defences as victims: fresh noise at every call, gradients through, stable identities."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.configurable import build
from lightning_modules.defences import Defence, DefendedEncoder, GaussianBlur, NoDefence
from lightning_modules.randomness import SampleNoise


class Jitter(Defence):
    """Adds noise of the sample and the draw, and remembers its calls."""

    def __init__(self, size: float = 0.1) -> None:
        super().__init__()
        self.size, self.calls = size, []

    def forward(self, images: Tensor, ids: Sequence[str] | None = None, draw: int = 0) -> Tensor:
        self.calls.append((ids, draw))
        return images + self.size * SampleNoise(0, f"jitter/{draw}", ids)(images)


class Summed(nn.Module):
    def forward(self, images, alpha=1.0):
        return torch.tanh(alpha * images.mean(dim=(2, 3)))


def pictures(count=3):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_no_defence_returns_the_images():
    images = pictures()
    assert torch.equal(NoDefence()(images), images)
    assert torch.equal(NoDefence()(images, ["a", "b", "c"], draw=3), images)


def test_every_defence_has_a_fingerprint_of_its_specification():
    prints = [NoDefence(), GaussianBlur(1.0), GaussianBlur(2.0), Jitter(), Jitter(0.2)]
    assert len({one.fingerprint() for one in prints}) == 5
    assert GaussianBlur(1.0).fingerprint() == GaussianBlur(sigma=1.0).fingerprint() == GaussianBlur().fingerprint()
    for one in prints:
        rebuilt = build(one.spec, Defence)
        assert type(rebuilt) is type(one)
        assert rebuilt.fingerprint() == one.fingerprint()


def test_every_call_draws_fresh_noise_and_never_that_of_the_evaluation():
    defence, images = Jitter(), pictures()
    defended = DefendedEncoder(defence, Summed(), ["a", "b", "c"])
    first, second = defended(images), defended(images)
    (ids, draw), (_, next_draw) = defence.calls
    assert ids == ("a", "b", "c")
    assert next_draw == draw + 1
    assert draw > 1_000_000  # an evaluation counts its draws from 0
    assert (first - second).abs().max() > 1e-4
    assert torch.equal(first, Summed()(images + 0.1 * SampleNoise(0, f"jitter/{draw}", ["a", "b", "c"])(images)))
    assert torch.equal(first, DefendedEncoder(Jitter(), Summed(), ["a", "b", "c"])(images))
    assert torch.equal(second, DefendedEncoder(Jitter(), Summed(), ["a", "b", "c"], first_draw=draw + 1)(images))


def test_the_code_is_the_mean_over_draws_and_paths():
    defence, images = Jitter(), pictures()
    defence.n_paths = 2
    codes = DefendedEncoder(defence, Summed(), ["a", "b", "c"], draws=3, first_draw=5)(images, alpha=0.5)
    assert [draw for _, draw in defence.calls] == [10, 11, 12, 13, 14, 15]
    noises = [SampleNoise(0, f"jitter/{draw}", ["a", "b", "c"])(images) for draw in range(10, 16)]
    expected = sum(Summed()(images + 0.1 * noise, alpha=0.5) for noise in noises) / 6
    torch.testing.assert_close(codes, expected)
    with pytest.raises(ValueError, match="draws=0: expected at least 1"):
        DefendedEncoder(defence, Summed(), ["a"], draws=0)


def test_alpha_reaches_the_encoder():
    defended = DefendedEncoder(NoDefence(), Summed(), ["a", "b", "c"])
    assert torch.equal(defended(pictures(), alpha=0.1), Summed()(pictures(), alpha=0.1))


def test_gradients_flow_through_the_defence():
    images = pictures().requires_grad_()
    DefendedEncoder(GaussianBlur(1.0), Summed(), ["a", "b", "c"])(images).sum().backward()
    assert images.grad.abs().amax(dim=(1, 2, 3)).min() > 0


def test_defence_and_encoder_are_frozen_with_it():
    defended = DefendedEncoder(Jitter(), nn.Linear(2, 2), ["a"])
    assert len(list(defended.parameters())) == 2
    assert {type(module) for module in defended.children()} == {Jitter, nn.Linear}
