"""DADH's triplets, penalty and codes against loops over the formulas; unlabelled images; the three steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.losses import DADH, TrainingFacts
from lightning_modules.hashing.losses.discriminators import (
    Discriminator,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from lightning_modules.hashing.losses.procedure import Forward
from lightning_modules.hashing.losses.triplets import triplet_losses
from lightning_modules.types import Batch
from tests.hashing.random_data import Flat

BITS, CLASSES, WIDTH = 4, 3, 12


def problem(count=6, seed=0, empty=False):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, CLASSES, generator=generator) < 0.4).to(torch.uint8)
    labels[labels.sum(1) == 0, 0] = 1
    if empty:
        labels[2] = 0
    codes = [torch.rand(count, BITS, generator=generator, dtype=torch.float64) * 2 - 1 for _ in range(2)]
    return labels, *codes


def cosine(a, b):
    return np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))


def looped_triplets(anchors, others, labels, margin, weighted):
    """One value per anchor, from the published formula, all triplets one by one."""
    values = []
    for a, anchor in enumerate(anchors):
        shared = [int(labels[a] @ label) for label in labels]
        ideal = sum((2**s - 1) / math.log2(r + 2) for r, s in enumerate(sorted(shared, reverse=True)))
        total = 0.0
        for p, s_ap in enumerate(shared):
            for n, s_an in enumerate(shared):
                if s_ap > 0 and s_an == 0:
                    d_ap, d_an = (max(0.0, 1 - cosine(anchor, others[i])) for i in (p, n))
                    w = 10 * 1.1 * (2**s_ap - 2**s_an) / ideal if weighted else 1
                    total += max(0.0, w * 1.1 * (d_ap - d_an + margin))
        values.append(total)
    return values


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("weighted", [True, False])
def test_triplets_are_the_formula(weighted, empty):
    labels, image, text = problem(empty=empty)
    found = triplet_losses(image, text, labels, weighted=weighted)
    expected = looped_triplets(image.numpy(), text.numpy(), labels.numpy().astype(int), 0.4, weighted)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert sum(expected) > 0


def test_an_unlabelled_anchor_has_no_gradient_and_the_published_form_is_nan():
    labels, image, text = problem(empty=True)
    image.requires_grad_()
    triplet_losses(image, text, labels).sum().backward()
    assert torch.isfinite(image.grad).all()
    assert image.grad[2].abs().sum() == 0
    assert image.grad.abs().sum() > 0
    assert triplet_losses(image, text, labels, guard=False).sum().isnan()


def test_both_forms_agree_where_every_image_is_labelled():
    labels, image, text = problem()
    stable, published = (triplet_losses(image, text, labels, guard=guard) for guard in (True, False))
    torch.testing.assert_close(stable, published)


def test_gradient_of_the_triplets():
    labels, image, text = problem(4, seed=3)
    image.requires_grad_()
    text.requires_grad_()
    assert torch.autograd.gradcheck(lambda u, v: triplet_losses(u, v, labels), (image, text))


def test_penalty_of_a_linear_network_is_that_of_its_weights():
    network = torch.nn.Linear(5, 1)
    real, fake, mix = torch.rand(3, 7, 5)
    expected = (network.weight.norm() - 1).square()
    torch.testing.assert_close(gradient_penalty(network, real, fake, mix), expected)
    torch.testing.assert_close(gradient_penalty(network, real, fake, mix, stable=False), expected)


def test_penalty_is_taken_between_image_and_text():
    """D(z) = sum of z^2 / 2 has the gradient z: what is penalised is the length of the mixed points."""
    real, fake, mix = torch.rand(3, 7, 5)
    found = gradient_penalty(lambda z: z.square().sum(1, keepdim=True) / 2, real, fake, mix)
    between = [
        [m * r + (1 - m) * f for m, r, f in zip(*rows, strict=True)]
        for rows in zip(mix.tolist(), real.tolist(), fake.tolist(), strict=True)
    ]
    expected = sum((math.sqrt(sum(x * x for x in row)) - 1) ** 2 for row in between) / 7
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_a_confident_discriminator_keeps_finite_losses_and_gradients():
    """Of a logit of 200 the published form takes the logarithm of zero."""
    logit = torch.tensor([[200.0], [-200.0]], requires_grad=True)
    for loss in (discriminator_loss(torch.nn.Identity(), -logit, logit), generator_loss(torch.nn.Identity(), logit)):
        (gradient,) = torch.autograd.grad(loss, logit)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
    assert discriminator_loss(torch.nn.Identity(), -logit, logit, stable=False).isinf()


def test_adversarial_losses_are_the_formulas():
    network = Discriminator([5, 4])
    real, fake = torch.rand(2, 6, 5)
    on_real, on_fake = ([1 / (1 + math.exp(-x)) for x in network(z).flatten().tolist()] for z in (real, fake))
    expected = -sum(map(math.log, on_real)) / 6 - sum(math.log(1 - s) for s in on_fake) / 6
    for stable in (True, False):
        assert discriminator_loss(network, real, fake, stable).item() == pytest.approx(expected, rel=1e-5)
        found = generator_loss(network, fake, stable).item()
        assert found == pytest.approx(-sum(map(math.log, on_fake)) / 6, rel=1e-5)


def make_loss(labels, **options):
    torch.manual_seed(0)
    loss = DADH(**options)
    loss.setup(TrainingFacts(labels, BITS, {"image": WIDTH, "text": WIDTH}))
    return loss


def make_batch(labels, rows):
    rows = torch.tensor(rows)
    return Batch(torch.empty(len(rows), 3, 0, 0), labels[rows], rows, tuple(map(str, rows.tolist())))


def test_discriminators_have_the_published_shapes():
    labels, *_ = problem()
    loss = DADH()
    loss.setup(TrainingFacts(labels, 32, {"image": 2048, "text": 2048}))
    shapes = [tuple(p.shape) for p in loss.feature_discriminator.parameters() if p.ndim == 2]
    assert shapes == [(1024, 2048), (512, 1024), (1, 512)]
    assert [tuple(p.shape) for p in loss.code_discriminator.parameters() if p.ndim == 2] == [(512, 32), (1, 512)]


@pytest.mark.parametrize("legacy", [True, False])
def test_discrete_codes_are_a_regression_on_labels(legacy):
    labels, image, text = problem(empty=not legacy)
    loss = make_loss(labels, legacy=legacy, mu=0.3, lamb=0.7)
    before = loss.codes.double().numpy()
    batch = make_batch(labels, list(range(len(labels))))
    loss.image_memory.write(batch.index, image)
    loss.text_memory.write(batch.index, text)
    loss.end_epoch()
    one = labels.double().numpy()
    p = np.linalg.inv(one.T @ one + 0.7 * np.eye(CLASSES)) @ one.T @ before
    values = one @ p + 0.15 * (image + text).numpy()
    assert loss.codes.tolist() == np.where(values >= 0, 1.0, -1.0).tolist()


def test_a_sample_carries_its_triplets_and_its_quantisation():
    labels, image, text = problem()
    loss, rows = make_loss(labels, alpha=3.0), [4, 0, 2]
    values = loss({"image": image[rows], "text": text[rows]}, make_batch(labels, rows))
    arguments = (labels[rows].numpy().astype(int), 0.4, True)
    pairs = ((image[rows].numpy(), text[rows].numpy()), (text[rows].numpy(), image[rows].numpy()))
    triplets = [looped_triplets(*pair, *arguments) for pair in pairs]
    for i, row in enumerate(rows):
        quantised = sum(float(((loss.codes[row] - code[row]) ** 2).sum()) for code in (image, text))
        assert values[i].item() == pytest.approx(3 * (triplets[0][i] + triplets[1][i]) + 1.1 * quantised, rel=1e-5)


def test_a_batch_takes_three_steps_of_networks_of_their_own():
    labels, *_ = problem(empty=True)
    loss, batch = make_loss(labels), make_batch(labels, [1, 2, 5])
    encoders = {name: HashEncoder(Flat(), BITS) for name in ("image", "text")}
    bodies = {name: torch.nn.Linear(WIDTH, WIDTH) for name in encoders}
    inputs = torch.rand(3, WIDTH)
    optimizers = loss.optimizers(encoders, lambda parameters: torch.optim.SGD(list(parameters), 0.1))
    networks = {
        "feature": loss.feature_discriminator,
        "code": loss.code_discriminator,
        "encoders": torch.nn.ModuleList([*encoders.values(), *bodies.values()]),
    }
    found = []
    for step in loss.steps(Forward(encoders, lambda name: bodies[name](inputs)), batch):
        for network in networks.values():
            network.zero_grad()
        assert torch.isfinite(step.loss)
        step.loss.backward()
        (name,) = step.optimizers
        reached = {key for key, net in networks.items() if any(p.grad is not None for p in net.parameters())}
        assert name in reached
        assert name == "encoders" or reached == {name}
        optimizers[name].step()
        found.append((name, step.clip))
    assert found == [("feature", None), ("code", None), ("encoders", 5.0)]
    assert loss.image_memory.codes[batch.index].abs().sum(1).min() > 0


def test_features_of_two_widths_are_refused():
    with pytest.raises(ValueError, match="features of one width, got"):
        DADH().setup(TrainingFacts(torch.zeros(2, 2), BITS, {"image": 3, "text": 4}))
