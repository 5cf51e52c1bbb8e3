"""Augmented pixels come from the image, and every image has draws of its own."""

import pytest
import torch
import torch.nn.functional as F

from lightning_modules.augmentation import Augmentation, ContrastiveAugmentation


def numbered(count=64, height=10, width=12):
    """Pictures whose pixel values are their positions, so that a window tells where it was cut."""
    place = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width).expand(count, 3, -1, -1)
    return place + 1000 * torch.arange(3).view(1, 3, 1, 1) + 10_000 * torch.arange(count).view(-1, 1, 1, 1)


def windows(image, height, width):
    """All windows of an image and their mirror images."""
    cut = image.unfold(1, height, 1).unfold(2, width, 1).permute(1, 2, 0, 3, 4).reshape(-1, 3, height, width)
    return cut, cut.flip(-1)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"crop": 7}, (7, 7)),
        ({"crop": 10}, (10, 10)),
        ({"padding": 3}, (10, 12)),
        ({"crop": 8, "padding": 2, "flip": 0.5}, (8, 8)),
        ({"flip": 0.5}, (10, 12)),
    ],
)
def test_every_result_is_a_window_of_its_image(options, size):
    torch.manual_seed(0)
    images = numbered()
    results = Augmentation(**options)(images)
    assert results.shape == (64, 3, *size)
    padded = F.pad(images, [options.get("padding", 0)] * 4, mode="reflect")
    chosen = set()
    for image, result in zip(padded, results, strict=True):
        straight, mirrored = windows(image, *size)
        hits = [(cut == result).flatten(1).all(dim=1).nonzero().flatten().tolist() for cut in (straight, mirrored)]
        assert hits[0] or (hits[1] and options.get("flip"))
        chosen.add((tuple(hits[0]), tuple(hits[1])))
    assert len(chosen) > 1  # not one draw for the batch


def test_all_positions_are_reached_equally_often():
    torch.manual_seed(0)
    corner = Augmentation(crop=8)(numbered(1, 10, 9).expand(3000, -1, -1, -1))[:, 0, 0, 0]  # 3 x 2 positions
    _, counts = corner.unique(return_counts=True)
    assert len(counts) == 6
    assert (counts - 500).abs().max() < 5 * 500**0.5


@pytest.mark.parametrize(("probability", "low", "high"), [(0.0, 0, 0), (0.25, 180, 320), (1.0, 1000, 1000)])
def test_flips_have_their_probability(probability, low, high):
    torch.manual_seed(0)
    images = numbered(1000, 2, 4)
    results = Augmentation(flip=probability)(images)
    flipped = (results == images.flip(-1)).flatten(1).all(dim=1)
    assert low <= int(flipped.sum()) <= high
    assert torch.equal(results[~flipped], images[~flipped])


def test_no_options_change_nothing():
    images = numbered()
    assert torch.equal(Augmentation()(images), images)


def test_two_views_differ_and_a_seed_repeats_them():
    images, augment = numbered(), Augmentation(padding=2, flip=0.5)
    torch.manual_seed(0)
    first, second = augment(images), augment(images)
    torch.manual_seed(0)
    assert torch.equal(augment(images), first)
    assert not torch.equal(first, second)


def test_augmentation_is_differentiable_and_leaves_its_input():
    images = numbered(4)
    kept = images.clone()
    Augmentation(crop=8, padding=1, flip=0.5)(images.requires_grad_()).sum().backward()
    assert torch.equal(images.detach(), kept)
    assert images.grad.flatten(1).sum(dim=1).tolist() == [3 * 64] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 0}, "crop=0: expected a positive number of pixels, or None"),
        ({"padding": -1}, "padding=-1: expected"),
        ({"flip": 1.5}, r"flip=1.5: expected a probability in \[0, 1\]"),
        ({"flip": -0.1}, r"flip=-0.1: expected a probability in \[0, 1\]"),
    ],
)
def test_impossible_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 11}, r"crop=11 is larger than the images \(10 x 12\)"),
        ({"crop": 11, "padding": 4}, r"crop=11 is larger than the images \(10 x 12\)"),
        ({"padding": 10}, r"padding=10 reflects more than the images have \(10 x 12\)"),
    ],
)
def test_images_that_are_too_small_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)(numbered())


def test_given_draws_choose_window_and_flip_of_every_picture_of_an_item():
    images = numbered(4, 10, 9)
    draws = torch.tensor([[0.0, 0.0, 0.9], [0.999, 0.999, 0.9], [0.5, 0.0, 0.1], [0.0, 0.5, 0.9]], dtype=torch.float64)
    augmentation = Augmentation(crop=8, flip=0.5)
    results = augmentation(torch.cat([images, -images], dim=1), draws)
    corners = [(0, 0, False), (2, 1, False), (1, 0, True), (0, 1, False)]
    for image, result, (top, left, flip) in zip(images, results, corners, strict=True):
        window = image[:, top : top + 8, left : left + 8]
        expected = window.flip(-1) if flip else window
        assert torch.equal(result, torch.cat([expected, -expected]))


def test_contrastive_views_are_drawn_image_by_image():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 12, 10).expand(6, -1, -1, -1)
    views = ContrastiveAugmentation()(images)
    assert views.shape == images.shape
    assert len({view.sum().item() for view in views}) == 6
    assert views.min() >= 0
    assert views.max() <= 1


def test_contrastive_augmentation_can_be_switched_off():
    images = torch.rand(8, 3, 8, 8)
    plain = ContrastiveAugmentation(scale=1.0, jitter=0.0, grey=0.0, blur=0.0)
    for image, view in zip(images, plain(images), strict=True):
        assert torch.allclose(view, image, atol=1e-5) or torch.allclose(view, image.flip(-1), atol=1e-5)


@pytest.mark.parametrize(("options", "message"), [({"scale": 0.0}, "scale=0.0"), ({"blur": 1.5}, "blur=1.5")])
def test_impossible_contrastive_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ContrastiveAugmentation(**options)
