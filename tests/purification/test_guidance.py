"""Closed-form gradients against autograd through other people's definitions."""

import pytest
import pytorch_msssim
import torch

from lightning_modules.purification.guidance import distance_gradient, ssim_gradient

# Both sides of the switch from matrices to convolutions, and sizes at which the transpose alone switches.
SIZES = [(11, 11), (16, 16), (32, 32), (54, 54), (55, 55), (64, 64), (65, 65), (11, 16), (12, 70), (65, 33)]


def pair(size, count=2, seed=0, noise=0.3):
    generator = torch.Generator().manual_seed(seed)
    y = torch.rand(count, 3, *size, generator=generator, dtype=torch.float64) * 2 - 1
    return y + noise * torch.randn(y.shape, generator=generator, dtype=torch.float64), y


def reference_ssim(x, y):
    return pytorch_msssim.ssim(x, y, data_range=2, size_average=False)


def autograd_of(distance, x, y):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(distance(x, y).sum(), x)[0]


@pytest.mark.parametrize("size", SIZES)
def test_the_ssim_gradient_equals_autograd(size):
    x, y = pair(size)
    expected = autograd_of(reference_ssim, x, y)
    scale = float(expected.abs().max())
    # pytorch_msssim keeps its window in float32, which bounds the agreement.
    torch.testing.assert_close(ssim_gradient(x, y), expected, rtol=0, atol=1e-6 * scale)


def zero_bordered_ssim(x, y):
    """SSIM as GDMP's code has it: 11 x 11 window over zero borders, constants of range 1, one mean per image."""
    taps = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(taps, taps) / taps.sum() ** 2
    window = window.expand(3, 1, 11, 11)

    def blur(image):
        return torch.nn.functional.conv2d(image, window, padding=5, groups=3)

    m, n = blur(x), blur(y)
    xx, yy, xy = blur(x * x) - m * m, blur(y * y) - n * n, blur(x * y) - m * n
    quality = (2 * m * n + 1e-4) * (2 * xy + 9e-4) / ((m * m + n * n + 1e-4) * (xx + yy + 9e-4))
    return quality.mean(dim=(1, 2, 3))


@pytest.mark.parametrize("size", [(7, 9), (16, 16), (54, 55), (70, 60)])
def test_the_ssim_gradient_of_gdmp_equals_autograd(size):
    x, y = pair(size)
    expected = -autograd_of(zero_bordered_ssim, x, y)
    torch.testing.assert_close(distance_gradient("gdmp_ssim", x, y), expected, rtol=1e-9, atol=1e-12)


def test_the_ssim_gradient_in_float32_is_that_of_float64():
    x, y = pair((32, 32))
    exact = ssim_gradient(x, y)
    single = ssim_gradient(x.float(), y.float()).double()
    assert float((single - exact).norm() / exact.norm()) < 1e-3


def test_the_mse_gradient_equals_autograd():
    x, y = pair((7, 5))
    expected = autograd_of(lambda a, b: (a - b).square().mean(dim=(1, 2, 3)), x, y)
    torch.testing.assert_close(distance_gradient("mse", x, y), expected)


def test_the_gradients_are_differentiable():
    x, y = pair((12, 11), count=1)
    for metric in ("ssim", "mse"):
        arguments = (x.clone().requires_grad_(), y.clone().requires_grad_())
        assert torch.autograd.gradcheck(lambda a, b, m=metric: distance_gradient(m, a, b), arguments, fast_mode=True)


def test_stepping_down_the_distance_moves_towards_the_target():
    x, y = pair((32, 32))
    before = reference_ssim(x, y)
    step = distance_gradient("ssim", x, y)
    step = 0.1 * step / step.abs().amax(dim=(1, 2, 3), keepdim=True)
    assert (reference_ssim(x - step, y) > before + 1e-3).all()
    assert (reference_ssim(x + step, y) < before).all()
    closer = x - distance_gradient("mse", x, y)
    assert ((closer - y).square().mean() < (x - y).square().mean()).all()


@pytest.mark.parametrize("metric", ["ssim", "mse"])
@pytest.mark.parametrize("size", [(16, 16), (70, 70)])
def test_the_gradient_of_an_image_does_not_depend_on_its_batch(metric, size):
    x, y = pair(size, count=5)
    together = distance_gradient(metric, x, y)
    for row in range(len(x)):
        alone = distance_gradient(metric, x[row : row + 1], y[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("metric", ["ssim", "mse"])
def test_equal_images_have_no_gradient(metric):
    _, y = pair((16, 16))
    assert float(distance_gradient(metric, y, y).abs().max()) < 1e-12


@pytest.mark.parametrize("size", [(10, 32), (32, 10)])
def test_images_smaller_than_the_window_are_refused(size):
    x, y = pair(size)
    with pytest.raises(ValueError, match="at least 11 px, got"):
        distance_gradient("ssim", x, y)


def test_an_unknown_metric_is_refused():
    x, y = pair((11, 11))
    with pytest.raises(ValueError, match="metric='lpips': expected 'ssim', 'mse' or 'gdmp_ssim'"):
        distance_gradient("lpips", x, y)
