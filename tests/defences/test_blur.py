"""Gaussian blur against a convolution written out with NumPy."""

import numpy as np
import pytest
import torch

from lightning_modules.defences import GaussianBlur


def pictures(*size):
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def separable_blur(images, sigma):
    radius = max(1, round(3 * sigma))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    result = images.numpy()
    for axis in (2, 3):
        margins = [(0, 0)] * 4
        margins[axis] = (radius, radius)
        padded = np.pad(result, margins, mode="reflect")
        result = np.apply_along_axis(np.convolve, axis, padded, taps, mode="valid")
    return torch.from_numpy(result)


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_the_blur_is_a_separable_convolution_with_reflected_borders(sigma, size):
    images = pictures(*size)
    torch.testing.assert_close(GaussianBlur(sigma)(images), separable_blur(images, sigma), rtol=1e-5, atol=1e-6)


def test_a_blurred_picture_is_a_picture_and_flat_ones_stay():
    blurred = GaussianBlur(2.0)(pictures(32, 32).round().float())
    assert float(blurred.min()) >= 0
    assert float(blurred.max()) <= 1 + 1e-6
    flat = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(GaussianBlur(2.0)(flat), flat)


def test_the_blur_ignores_ids_and_draws_and_is_differentiable():
    images = pictures(16, 16)
    assert torch.equal(GaussianBlur()(images, ["a", "b"], draw=5), GaussianBlur()(images))
    assert torch.autograd.gradcheck(GaussianBlur(), images.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("sigma", [0, -1.0])
def test_a_blur_of_no_width_is_refused(sigma):
    with pytest.raises(ValueError, match=f"sigma={sigma}: expected a positive number of pixels"):
        GaussianBlur(sigma)
