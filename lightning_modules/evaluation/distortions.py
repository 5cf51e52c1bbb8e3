"""How much an attack changed each picture."""

from __future__ import annotations

from pytorch_msssim import ssim
from torch import Tensor

DISTORTIONS = ("linf", "mse", "ssim", "psnr")


def distortions(original: Tensor, attacked: Tensor) -> dict[str, Tensor]:
    """Measure every image by itself.

    Args:
        original: uint8 ``(B, 3, H, W)``, of at least 11 px, the window of SSIM.
        attacked: the same.

    Returns:
        four times float64 ``(B,)``: ``linf``, the largest absolute change in [0, 1]; ``mse``, the mean squared change;
        ``ssim``, structural similarity (Wang et al. 2004, Gaussian window of 11 px and deviation 1.5, data range 1);
        ``psnr`` in dB, infinite where nothing changed.
    """
    delta = (attacked.double() - original.double()).flatten(1) / 255
    mse = delta.square().mean(dim=1)
    similarity = ssim(attacked.double() / 255, original.double() / 255, data_range=1.0, size_average=False)
    similarity = similarity.clamp(max=1)  # rounding puts equal pictures a hair above it
    return {"linf": delta.abs().amax(dim=1), "mse": mse, "ssim": similarity, "psnr": -10 * mse.log10()}
