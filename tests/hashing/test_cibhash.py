"""CIBHash against loops over its formula."""

import math

import pytest
import torch

from lightning_modules.augmentation import ContrastiveAugmentation
from lightning_modules.configurable import build
from lightning_modules.hashing import FrozenBackbone, HashingModule
from lightning_modules.hashing.losses import CIBHashLoss, HashingLoss
from lightning_modules.hashing.losses.cibhash import bernoulli_divergence, nt_xent
from tests.hashing.loss_problems import ITEMS, check_gradient, make_batch, make_problem
from tests.hashing.random_data import Flat, RandomData, make_trainer


def looped_loss(first, second, temperature, weight):
    """Mean over 2B views of NT-Xent on signs, plus weight times the mean symmetric divergence of the bits."""
    views = first + second
    signs = [[1 if x >= 0 else -1 for x in view] for view in views]
    contrast = 0.0
    for i, own in enumerate(signs):
        cosines = [sum(a * b for a, b in zip(own, other, strict=True)) / len(own) / temperature for other in signs]
        partner = (i + len(first)) % len(views)
        others = sum(math.exp(c) for j, c in enumerate(cosines) if j != i)
        contrast += math.log(others) - cosines[partner]
    divergence = 0.0
    for one, two in zip(first, second, strict=True):
        for x, y in zip(one, two, strict=True):
            p, q = 1 / (1 + math.exp(-x)), 1 / (1 + math.exp(-y))
            forward = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
            backward = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
            divergence += (forward + backward) / 2
    return contrast / len(views) + weight * divergence / len(first)


@pytest.mark.parametrize("count", [1, 2, ITEMS])
def test_loss_is_the_formula(count):
    labels, codes = make_problem()
    first, second = 3 * codes[:count], 2 * make_problem(1)[1][:count]
    loss = CIBHashLoss(temperature=0.4, divergence=0.2)
    logits = loss.relax(torch.stack([first, second]).float(), 0)
    values = loss({"image": logits}, make_batch(torch.arange(count), labels))
    expected = looped_loss(first.tolist(), second.tolist(), 0.4, 0.2)
    assert values.shape == (count,)
    assert values.mean().item() == pytest.approx(expected, rel=1e-5)


def test_gradient_of_the_parts():
    first, second = make_problem()[1], make_problem(1)[1]
    check_gradient(lambda z: nt_xent(z, second, 0.3), first)
    check_gradient(lambda z: nt_xent(first, z, 0.3), second)
    check_gradient(lambda logits: bernoulli_divergence(logits, second), first)


def test_gradient_passes_the_signs_as_that_of_the_probabilities():
    """With d sign = d sigmoid the gradient of a logit is that of its sign times p (1 - p)."""
    labels, codes = make_problem()
    logits = torch.stack([codes, make_problem(1)[1]]).float().requires_grad_()
    CIBHashLoss(divergence=0.0)({"image": logits}, make_batch(torch.arange(ITEMS), labels)).sum().backward()
    signs = logits.detach().sign().requires_grad_()
    nt_xent(*signs, 0.3).sum().backward()
    p = logits.detach().sigmoid()
    torch.testing.assert_close(logits.grad, signs.grad * p * (1 - p))


def test_saturated_bits_have_a_finite_divergence():
    logits = torch.tensor([[100.0, -100.0]], requires_grad=True)
    (value,) = bernoulli_divergence(logits, torch.tensor([[-100.0, -100.0]]))
    value.backward()
    assert value.item() == pytest.approx(100.0)
    assert torch.isfinite(logits.grad).all()


def test_labels_are_not_looked_at():
    labels, codes = make_problem()
    logits, rows = torch.stack([codes, codes.flip(1)]), torch.arange(ITEMS)
    values = [CIBHashLoss()({"image": logits}, make_batch(rows, y)) for y in (labels, 1 - labels)]
    assert torch.equal(*values)


def test_views_differ_from_each_other_and_stay_in_range():
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    views = CIBHashLoss().views(images)
    assert len(views) == 2
    assert not torch.equal(*views)
    for view in views:
        assert view.shape == images.shape
        assert view.min() >= 0
        assert view.max() <= 1


def test_options_survive_a_checkpoint():
    loss = CIBHashLoss(temperature=0.2, augmentation=ContrastiveAugmentation(scale=0.9, grey=0.0))
    again = build(loss.spec, HashingLoss)
    assert again.spec == loss.spec
    assert again.augmentation.scale == 0.9


def test_it_trains_on_views_through_a_frozen_extractor(tmp_path):
    backbone = FrozenBackbone(Flat(), hidden=[5], cache_features=False)
    module = HashingModule(backbone, CIBHashLoss(), num_bits=4)
    before = backbone.head[0].weight.clone()
    make_trainer(tmp_path, limit_train_batches=2, limit_val_batches=0).fit(module, RandomData(size=2))
    assert not torch.equal(backbone.head[0].weight, before)


def test_views_need_pictures_and_not_kept_features():
    with pytest.raises(ValueError, match="set cache_features to false"):
        HashingModule(FrozenBackbone(Flat(), hidden=[5]), CIBHashLoss())
