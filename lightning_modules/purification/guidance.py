"""Distances D between x_t and the noised input, and their gradients in x_t, in closed form.

Images are in [-1, 1] up to noise. Every function returns one value, or one gradient, per image; D is a mean
over the pixels and channels of that image, so an image does not depend on its batch.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Metric = Literal["ssim", "mse", "gdmp_ssim"]

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03  # of SSIM's constants (K R)^2, where R is the range of the data
# Up to this side a small matrix product is faster than a depthwise convolution of 11 taps.
MATRIX_BLUR_SIDE = 64


def distance_gradient(metric: Metric, x: Tensor, target: Tensor) -> Tensor:
    """Gradient of D(x, target) in ``x``.

    Args:
        metric: ``ssim`` is D = -SSIM, so that following -grad D moves *towards* the target as in GDMP;
            ``gdmp_ssim`` is that of GDMP's code, with borders of zeros and the constants of range 1;
            ``mse`` is the mean squared error.
        x: float ``(B, C, H, W)``.
        target: same shape.

    Returns:
        float ``(B, C, H, W)``.

    Raises:
        ValueError: unknown metric, or images smaller than the SSIM window.
    """
    match metric:
        case "mse":
            return (x - target) * (2.0 / x[0].numel())
        case "ssim":
            return -ssim_gradient(x, target)
        case "gdmp_ssim":
            return -_zero_bordered_ssim_gradient(x, target)
        case _:
            raise ValueError(f"metric={metric!r}: expected 'ssim', 'mse' or 'gdmp_ssim'")


def _zero_bordered_ssim_gradient(x: Tensor, y: Tensor) -> Tensor:
    """Gradient of SSIM at every pixel, outside of which the images are 0: valid SSIM of images with such borders."""
    border = WINDOW // 2
    padded = ssim_gradient(F.pad(x, [border] * 4), F.pad(y, [border] * 4), data_range=1.0)
    return padded[..., border:-border, border:-border]


def ssim_gradient(x: Tensor, y: Tensor, data_range: float = 2.0) -> Tensor:
    """Gradient of each image's mean SSIM in ``x``.

    Equal to autograd through ``pytorch_msssim.ssim(x, y, data_range=2, size_average=False)``: 11 x 11
    Gaussian window of deviation 1.5, valid positions only. With m = blur(x), S depends on x through m,
    blur(x x) and blur(x y), hence
    ``dS/dx = blur^T(S_m) + 2 x blur^T(S_xx) + y blur^T(S_xy)``.

    Args:
        x: float ``(B, C, H, W)``, H and W at least 11.
        y: same shape.
        data_range: R in SSIM's constants ``(0.01 R)^2`` and ``(0.03 R)^2``; 2 for images in [-1, 1].

    Returns:
        float ``(B, C, H, W)``.
    """
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    if min(x.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM guidance needs images of at least {WINDOW} px, got {tuple(x.shape[-2:])}")
    m, n, xx, xy, yy = _blur(torch.cat([x, y, x * x, x * y, y * y], dim=1)).chunk(5, dim=1)
    product, squares = m * n, m * m + n * n
    luminance_scale, contrast_scale = squares + c1, xx + yy - squares + c2
    luminance = (2 * product + c1) / luminance_scale
    contrast = (2 * (xy - product) + c2) / contrast_scale
    ratio = luminance / contrast_scale
    by_m = 2 * ((n - m * luminance) * contrast / luminance_scale + ratio * (m * contrast - n))
    margin = [WINDOW - 1] * 4  # the window is symmetric, so that a blur with borders of zeros is the transpose
    a, b, c = _blur(F.pad(torch.cat([by_m, -ratio * contrast, 2 * ratio], dim=1), margin)).chunk(3, dim=1)
    return (a + 2 * x * b + y * c) / m[0].numel()


def _blur(images: Tensor) -> Tensor:
    """Blur each channel of ``(B, C, H, W)`` at the valid positions, ``(B, C, H - 10, W - 10)``."""
    channels, height, width = images.shape[1:]
    if max(height, width) <= MATRIX_BLUR_SIDE:
        return _band(height, images) @ images @ _band(width, images).T
    taps = _taps(images).expand(channels, 1, 1, -1)
    images = images.contiguous(memory_format=torch.channels_last)
    return F.conv2d(F.conv2d(images, taps.mT, groups=channels), taps, groups=channels)


def _taps(like: Tensor) -> Tensor:
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    taps = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    return (taps / taps.sum()).to(like)


def _band(side: int, like: Tensor) -> Tensor:
    """Write the valid blur of a line of ``side`` pixels as a matrix ``(side - 10, side)``."""
    taps, rows = _taps(like), side - WINDOW + 1
    band = torch.zeros(rows, side, dtype=like.dtype, device=like.device)
    column = torch.arange(rows, device=like.device)[:, None] + torch.arange(WINDOW, device=like.device)
    return band.scatter_(1, column, taps.expand(rows, -1))
