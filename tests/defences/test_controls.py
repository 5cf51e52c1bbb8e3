"""Simple defences against independent formulations."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from lightning_modules.defences import JPEG, Averaged, BitDepth, GaussianNoise, MedianFilter, Resizing
from lightning_modules.randomness import SampleNoise, content_ids

IDS = ["a", "b"]


def pictures(*size, dtype=torch.float32):
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=dtype)


# Resizing


@pytest.mark.parametrize(("scale", "there"), [(8 / 7, (16, 24)), (0.5, (7, 10))])
@pytest.mark.parametrize("antialias", [True, False])
def test_resizing_goes_there_and_back(scale, there, antialias):
    images = pictures(14, 21)
    expected = F.interpolate(images, there, mode="bilinear", antialias=antialias)
    expected = F.interpolate(expected, (14, 21), mode="bilinear", antialias=antialias)
    torch.testing.assert_close(Resizing(scale, antialias)(images), expected, rtol=0, atol=1e-6)


def test_resizing_from_224_to_256_halves_noise_of_single_pixels():
    # Published for the sign perturbation of a gradient attack: half of it is kept without antialiasing, .44 with.
    delta = pictures(224, 224).sub(0.5).sign() * 8 / 255
    for antialias, kept in ((False, 0.50), (True, 0.44)):
        left = Resizing(256 / 224, antialias)(0.5 + delta) - 0.5
        assert float((left * delta).sum() / (delta * delta).sum()) == pytest.approx(kept, abs=0.01)


# Noise


def test_noise_is_of_sample_draw_and_seed():
    images = pictures(16, 16)
    noisy = GaussianNoise(0.1)(images, IDS, draw=3)
    expected = (images + 0.1 * SampleNoise(0, "noise/3", IDS)(images)).clamp(0, 1)
    assert torch.equal(noisy, expected)
    assert torch.equal(noisy[1:], GaussianNoise(0.1)(images[1:], IDS[1:], draw=3))
    for other in (GaussianNoise(0.1)(images, IDS), GaussianNoise(0.1, seed=1)(images, IDS, draw=3)):
        assert (noisy - other).abs().max() > 0.01
    assert torch.equal(GaussianNoise(0.1)(images), GaussianNoise(0.1)(images, content_ids(images)))


def test_noise_has_the_deviation_asked_for():
    images = torch.full((2, 3, 64, 64), 0.5)
    noise = GaussianNoise(0.05)(images, IDS) - images
    assert float(noise.std()) == pytest.approx(0.05, rel=0.02)
    assert float(GaussianNoise(0.5)(images, IDS).max()) == 1.0


# Median and bit depth


@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_median_is_scipys(size):
    images = pictures(9, 12)
    expected = ndimage.median_filter(images.numpy(), size=(1, 1, size, size), mode="mirror")
    assert np.array_equal(MedianFilter(size)(images).numpy(), expected)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_bits_are_levels(bits):
    images = pictures(32, 32)
    rounded = BitDepth(bits)(images)
    assert len(rounded.unique()) == 2**bits
    assert float((rounded - images).abs().max()) <= 0.5 / (2**bits - 1) + 1e-6


# JPEG


@pytest.mark.parametrize("quality", [50, 75])
def test_jpeg_is_pillows(quality):
    images = F.interpolate(pictures(6, 6), (40, 56), mode="bicubic").clamp(0, 1)
    ours = JPEG(quality)(images).mul(255).round().byte()
    for image, result in zip(images, ours, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(image.mul(255).round().byte().permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
        theirs = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)
        difference = (result.int() - theirs.int()).abs().float()
        assert float(difference.mean()) < 0.2  # two builds of libjpeg
        assert float(difference.max()) <= 6
    assert JPEG(quality)(images[:0]).shape == (0, 3, 40, 56)


# Gradients


@pytest.mark.parametrize("defence", [BitDepth(3), JPEG(75)])
def test_what_has_no_gradient_passes_it_through(defence):
    images = pictures(16, 16).requires_grad_()
    weight = torch.randn(images.shape)
    defended = defence(images)
    torch.testing.assert_close(defended.detach(), defence(images.detach()))
    (defended * weight).sum().backward()
    assert torch.equal(images.grad, weight)
    assert not defence(images.detach()).requires_grad


@pytest.mark.parametrize("defence", [Resizing(), GaussianNoise(0.01), MedianFilter()])
def test_what_has_a_gradient_gives_it(defence):
    images = (0.2 + 0.6 * pictures(8, 8, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: defence(x, IDS), images, fast_mode=True)


# Averages


@pytest.mark.parametrize("combine", ["mean", "median"])
def test_draws_are_combined_pixel_by_pixel_and_used_once(combine):
    images, noise = pictures(16, 16), GaussianNoise(0.1)
    for draw in (0, 2):
        draws = np.stack([noise(images, IDS, 3 * draw + one).numpy() for one in range(3)])
        expected = getattr(np, combine)(draws, axis=0)
        np.testing.assert_allclose(Averaged(noise, 3, combine)(images, IDS, draw).numpy(), expected, atol=1e-6)


def test_an_average_is_identified_by_what_it_averages():
    variants = [
        Averaged(GaussianNoise(0.1)),
        Averaged(GaussianNoise(0.2)),
        Averaged(GaussianNoise(0.1), 6),
        Averaged(GaussianNoise(0.1), combine="median"),
    ]
    assert len({one.fingerprint() for one in variants}) == 4
    assert variants[0].fingerprint() == Averaged(GaussianNoise(deviation=0.1), 5).fingerprint()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resizing(0), "scale=0: expected a positive number"),
        (lambda: GaussianNoise(-0.1), r"deviation=-0\.1: expected 0 or more"),
        (lambda: MedianFilter(4), "size=4: expected an odd positive number"),
        (lambda: BitDepth(9), r"bits=9: expected 1\.\.8"),
        (lambda: JPEG(0), r"quality=0: expected 1\.\.100"),
        (lambda: Averaged(GaussianNoise(), 1), "draws=1: expected at least 2"),
        (lambda: Averaged(GaussianNoise(), 2, "mode"), "combine='mode': expected 'mean' or 'median'"),
    ],
)
def test_an_impossible_option_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
