"""Distortions from their formulas, on images one by one."""

import math

import pytest
import torch

from lightning_modules.evaluation.distortions import distortions

GENERATOR = torch.Generator().manual_seed(0)
ORIGINAL = torch.randint(256, (4, 3, 16, 20), generator=GENERATOR, dtype=torch.uint8)


def changed(by):
    noise = torch.randint(-by, by + 1, ORIGINAL.shape, generator=GENERATOR)
    return (ORIGINAL + noise).clamp(0, 255).to(torch.uint8)


def ssim_by_hand(x, y):
    """Mean over channels and places of the windowed formula (Wang et al. 2004, eq. 13), windows inside the image."""
    g = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    window = torch.tensor([[a * b for a in g] for b in g], dtype=torch.float64) / sum(g) ** 2
    values = []
    for channel in range(3):
        for top in range(x.shape[1] - 10):
            for left in range(x.shape[2] - 10):
                a, b = (image[channel, top : top + 11, left : left + 11] for image in (x, y))
                ma, mb = (window * a).sum(), (window * b).sum()
                va, vb, cov = (
                    (window * a * a).sum() - ma**2,
                    (window * b * b).sum() - mb**2,
                    (window * a * b).sum() - ma * mb,
                )
                c1, c2 = 0.01**2, 0.03**2
                values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return torch.stack(values).mean().item()


def test_each_image_by_the_formulas():
    attacked = changed(8)
    found = distortions(ORIGINAL, attacked)
    for row in range(4):
        x, y = ORIGINAL[row].double() / 255, attacked[row].double() / 255
        mse = sum(float(d) ** 2 for d in (x - y).flatten()) / x.numel()
        assert found["linf"][row].item() == pytest.approx(max(abs(float(d)) for d in (x - y).flatten()))
        assert found["mse"][row].item() == pytest.approx(mse)
        assert found["psnr"][row].item() == pytest.approx(10 * math.log10(1 / mse))
        assert found["ssim"][row].item() == pytest.approx(ssim_by_hand(x, y), abs=1e-6)


def test_an_unchanged_image():
    found = distortions(ORIGINAL, ORIGINAL)
    assert found["linf"].tolist() == found["mse"].tolist() == [0.0] * 4
    assert found["ssim"].tolist() == pytest.approx([1.0] * 4)
    assert found["psnr"].tolist() == [math.inf] * 4


def test_rounding_makes_pictures_no_more_than_equal(monkeypatch):
    above = torch.tensor([1 + 1e-15, 0.5], dtype=torch.float64)
    monkeypatch.setattr("lightning_modules.evaluation.distortions.ssim", lambda *images, **options: above)
    assert distortions(ORIGINAL[:2], ORIGINAL[:2])["ssim"].tolist() == [1, 0.5]
