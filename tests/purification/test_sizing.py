"""Images of another size than the network's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_modules.purification import DiffusionPurifier
from lightning_modules.purification.sizing import fit, reflect


def pictures(*size, count=2):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "target", "before"), [((5, 7), (8, 16), (0, 0)), ((3, 2), (20, 31), (7, 4))])
def test_reflection_is_numpys_however_far(size, target, before):
    images = pictures(*size)
    margins = [(b, t - s - b) for s, t, b in zip(size, target, before, strict=True)]
    expected = np.pad(images.numpy(), [(0, 0), (0, 0), *margins], mode="reflect")
    assert np.array_equal(reflect(images, *target, *before).numpy(), expected)


def test_a_line_of_one_pixel_is_repeated():
    assert torch.equal(reflect(pictures(1, 4), 3, 4), pictures(1, 4).expand(2, 3, 3, 4))


@pytest.mark.parametrize("size", [(28, 28), (20, 40), (48, 33)])
@pytest.mark.parametrize(("sizing", "antialias"), [("resize", True), ("resize_aliased", False)])
def test_the_shorter_side_is_resized_and_back(size, sizing, antialias):
    images = pictures(*size)
    fitted, restore = fit(images, sizing, 32)
    target = [round(side * 32 / min(size)) for side in size]
    expected = F.interpolate(images, target, mode="bilinear", antialias=antialias)
    torch.testing.assert_close(fitted, expected, rtol=0, atol=1e-6)
    back = F.interpolate(expected, list(size), mode="bilinear", antialias=antialias)
    torch.testing.assert_close(restore(fitted), back, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(20, 30), (40, 9), (32, 32), (50, 60)])
def test_smaller_images_are_padded_in_the_middle_and_cropped_back(size):
    images = pictures(*size)
    padded, restore = fit(images, "pad", 32)
    assert padded.shape[-2:] == (max(32, size[0]), max(32, size[1]))
    assert torch.equal(restore(padded), images)
    margins = [(max(0, 32 - side) // 2, -(-max(0, 32 - side) // 2)) for side in size]
    assert np.array_equal(padded.numpy(), np.pad(images.numpy(), [(0, 0), (0, 0), *margins], mode="reflect"))


@pytest.mark.parametrize("sizing", ["native", "tile"])
def test_the_network_may_run_at_the_size_of_the_images(sizing):
    images = pictures(20, 30)
    fitted, restore = fit(images, sizing, 32)
    assert torch.equal(fitted, images)
    assert torch.equal(restore(fitted), images)


# In the purifier


def test_a_tile_of_the_whole_image_is_the_whole_image(diffusion, images):
    whole, tile = (DiffusionPurifier(diffusion, purify_steps=3, sizing=sizing)(images) for sizing in ("native", "tile"))
    torch.testing.assert_close(whole, tile, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sizing", ["native", "resize", "resize_aliased", "pad", "tile"])
def test_every_size_comes_back_and_gives_gradients(diffusion, sizing):
    images = pictures(21, 34).requires_grad_()
    purified = DiffusionPurifier(diffusion, purify_steps=2, sizing=sizing)(images)
    assert purified.shape == images.shape
    purified.sum().backward()
    assert images.grad.abs().amax(dim=(1, 2, 3)).min() > 0


def test_resizing_is_the_purification_of_the_resized_image(diffusion, images):
    small = F.interpolate(images, 12, mode="bilinear", antialias=True)
    ids = [str(row) for row in range(9)]
    ours = DiffusionPurifier(diffusion, purify_steps=3, sizing="resize")(small, ids)
    inner = F.interpolate(small, 16, mode="bilinear", antialias=True)
    by_hand = DiffusionPurifier(diffusion, purify_steps=3)(inner, ids)
    torch.testing.assert_close(ours, F.interpolate(by_hand, 12, mode="bilinear", antialias=True), rtol=0, atol=1e-5)


def test_an_unknown_sizing_and_a_network_of_no_size_are_refused(diffusion, make_unet):
    with pytest.raises(ValueError, match="sizing='crop': expected one of native, resize"):
        DiffusionPurifier(diffusion, sizing="crop")
    anywhere = type(diffusion)(type(diffusion.denoiser)(make_unet(sample_size=None)), diffusion.schedule)
    DiffusionPurifier(anywhere)
    with pytest.raises(ValueError, match=r"sizing='tile': the network's config\.json tells no sample_size"):
        DiffusionPurifier(anywhere, sizing="tile")
