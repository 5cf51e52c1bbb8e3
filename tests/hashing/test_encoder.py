"""The hashing layer on a backbone that a hand can compute."""

import pytest
import torch
from torch import nn

from lightning_modules.hashing import Backbone, HashEncoder
from lightning_modules.types import binarize


class MeanColour(Backbone):
    """Three features: the means of the colour planes."""

    num_features = 3

    def forward(self, inputs):
        return inputs.mean(dim=(2, 3))


def make_encoder(bits=5, **options):
    torch.manual_seed(0)
    return HashEncoder(MeanColour(), bits, **options).eval()


def test_code_is_the_tanh_of_a_linear_layer():
    encoder, images = make_encoder(), torch.rand(4, 3, 2, 2)
    weight, bias = encoder.hash_layer.weight, encoder.hash_layer.bias
    for alpha in (0.1, 1.0, 7.0):
        features = images.sum(dim=(2, 3)) / 4
        expected = torch.tanh(alpha * (torch.einsum("bf,kf->bk", features, weight) + bias))
        torch.testing.assert_close(encoder(images, alpha), expected)
    torch.testing.assert_close(encoder(images), encoder(images, alpha=1.0))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_signs_do_not_depend_on_alpha(batch_norm):
    encoder, images = make_encoder(32, batch_norm=batch_norm), torch.rand(50, 3, 2, 2)
    codes = binarize(encoder(images))
    assert len(codes.unique()) == 2
    for alpha in (0.01, 0.1, 0.7, 100.0):
        assert torch.equal(binarize(encoder(images, alpha)), codes)


def test_batch_norm_centres_every_bit_over_the_batch():
    encoder, images = make_encoder(batch_norm=True).train(), torch.rand(64, 3, 2, 2)
    logits = torch.atanh(encoder(images, alpha=0.1).double()) / 0.1
    torch.testing.assert_close(logits.mean(0), torch.zeros(5).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(logits.std(0, correction=0), torch.ones(5).double(), rtol=0, atol=1e-2)
    assert isinstance(make_encoder().norm, nn.Identity)


def test_batch_norm_takes_one_item_by_its_running_statistics():
    encoder, image = make_encoder(batch_norm=True).train(), torch.rand(1, 3, 2, 2)
    encoder(torch.rand(64, 3, 2, 2))
    before = encoder.norm.running_mean.clone()
    code = encoder(image)
    assert torch.equal(encoder.norm.running_mean, before)
    assert torch.equal(encoder.eval()(image), code)
    code.sum().backward()
    assert encoder.norm.weight.grad is not None


def test_codes_stay_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert make_encoder()(torch.rand(2, 3, 2, 2)).dtype == torch.float32


@pytest.mark.parametrize("bits", [0, -3])
def test_a_code_needs_bits(bits):
    with pytest.raises(ValueError, match=f"num_bits={bits}"):
        HashEncoder(MeanColour(), bits)
