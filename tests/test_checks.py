"""One clear error for images that are not what the suite understands, and exact rounding to 8 bit."""

import pytest
import torch

from lightning_modules.checks import check_images, check_positive, round_to_8bit

PICTURE = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_pictures_pass(dtype):
    check_images(PICTURE.to(dtype))
    check_images(torch.tensor([0.0, 1.0], dtype=dtype).expand(1, 3, 2, 2))
    check_images(PICTURE.to(dtype)[:0])


def test_rounding_around_the_range_passes():
    check_images(PICTURE * (1 + 2e-6) - 1e-6)


def test_images_that_need_a_gradient_pass():
    check_images(PICTURE.clone().requires_grad_())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PICTURE[0], r"images have shape \(3, 4, 5\), expected \(B, 3, H, W\)"),
        (PICTURE[:, :1], r"images have shape \(2, 1, 4, 5\), expected \(B, 3, H, W\)"),
        (PICTURE.permute(0, 2, 3, 1), r"images have shape \(2, 4, 5, 3\)"),
        (PICTURE.mul(255).to(torch.uint8), r"images have dtype torch.uint8, expected float in \[0, 1\]; divide uint8"),
        (PICTURE > 0.5, "images have dtype torch.bool"),
        (PICTURE * 255, r"images lie in \[.*, 25\d\], expected \[0, 1\]; normalisation is the encoder's"),
        (PICTURE * 2 - 1, r"images lie in \[-0.9.*\], expected \[0, 1\]"),
        (PICTURE.clone().index_fill_(0, torch.tensor(1), float("nan")), "images hold NaN or infinite values"),
        (PICTURE.clone().index_fill_(0, torch.tensor(1), float("inf")), "images hold NaN or infinite values"),
        (PICTURE.clone().index_fill_(0, torch.tensor(1), -float("inf")), "images hold NaN or infinite values"),
    ],
)
def test_everything_else_is_named(images, message):
    with pytest.raises(ValueError, match=message):
        check_images(images)


def test_one_bad_pixel_is_found():
    images = PICTURE.clone()
    images[1, 2, 3, 4] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        check_images(images)


def test_rounding_to_8_bit_is_exact_and_idempotent():
    levels = torch.arange(256)
    assert torch.equal(round_to_8bit(levels / 255), levels.to(torch.uint8))
    below, above = (levels[1:] - 0.51) / 255, (levels[:-1] + 0.51) / 255
    assert torch.equal(round_to_8bit(below), (levels[1:] - 1).to(torch.uint8))
    assert torch.equal(round_to_8bit(above), (levels[:-1] + 1).to(torch.uint8))
    stored = round_to_8bit(PICTURE)
    assert stored.dtype == torch.uint8
    assert torch.equal(round_to_8bit(stored / 255), stored)
    assert (stored / 255 - PICTURE).abs().max() <= 0.5 / 255 + 1e-7


def test_rounding_clips_and_leaves_its_input():
    images = torch.tensor([-1e-4, 1.001, -3.0, 7.0])
    assert round_to_8bit(images).tolist() == [0, 255, 0, 255]
    assert images[3] == 7
    assert not round_to_8bit(images.requires_grad_()).requires_grad


def test_positive_options():
    check_positive(eps=0.1, count=3, unused=None)
    for value in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"^step={value}: expected a positive number"):
            check_positive(eps=0.1, step=value)
