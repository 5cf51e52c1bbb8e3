"""Losses of prototype networks and generators, written once more as loops in float64, with their gradients."""

import math

import pytest
import torch

from lightning_modules.attacks.networks import Prototype
from lightning_modules.attacks.training import ProSGANPrototype, THAPrototype
from lightning_modules.attacks.training.losses import FAKE, REAL, class_lsgan, code_disagreement, reconstruction

BITS, CLASSES, NUM = 6, 3, 7


def problem(batch=4, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    code, told = 2 * draw(batch, BITS) - 1, draw(batch, CLASSES)
    labels = (draw(batch, CLASSES) > 0.5).to(torch.uint8)
    codes = (draw(NUM, BITS) > 0.5).double() * 2 - 1
    code_labels = (draw(NUM, CLASSES) > 0.5).to(torch.uint8)
    return code, told, labels, codes, code_labels


def related(labels, code_labels, i, j):
    return any(a and b for a, b in zip(labels[i].tolist(), code_labels[j].tolist(), strict=True))


def dot(a, b):
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def distance_to_signs(code):
    return sum((x - (1 if x >= 0 else -1)) ** 2 for x in code.flatten().tolist()) / len(code)


@pytest.mark.parametrize("batch", [1, 4])
def test_pros_gan_prototype_by_loops(batch):
    code, told, labels, codes, code_labels = problem(batch)
    terms = ProSGANPrototype(2.0, 1e-4, 3.0)(Prototype(code, code, told), labels, codes, code_labels)
    total = 0.0
    for i in range(batch):
        for j in range(NUM):
            theta = dot(code[i], codes[j]) / 2
            total += math.log1p(math.exp(theta)) - related(labels, code_labels, i, j) * theta
    assert terms["similarity"].item() == pytest.approx(2 * total / (batch * NUM), rel=1e-12)
    assert terms["quantisation"].item() == pytest.approx(1e-4 * distance_to_signs(code), rel=1e-12)
    squares = [(a - b) ** 2 for a, b in zip(told.flatten().tolist(), labels.flatten().tolist(), strict=True)]
    assert terms["classification"].item() == pytest.approx(3 * sum(squares) / len(squares), rel=1e-12)


@pytest.mark.parametrize("batch", [1, 4])
def test_tha_prototype_by_loops(batch):
    code, _, labels, codes, code_labels = problem(batch)
    terms = THAPrototype()(Prototype(code, code, None), labels, codes, code_labels)
    apart = together = 0.0
    for i in range(batch):
        for j in range(NUM):
            s = dot(code[i], codes[j]) / BITS
            if related(labels, code_labels, i, j):
                together += math.exp(-max(2 - s, 0) * s)
            else:
                apart += math.exp(max(s + 2, 0) * s)
    expected = sum(math.log(total) for total in (apart, together) if total) / batch  # an empty sum costs nothing
    assert terms["similarity"].item() == pytest.approx(expected, rel=1e-12)
    assert terms["quantisation"].item() == pytest.approx(1e-4 * distance_to_signs(code), rel=1e-12)


def test_gradients_of_prototype_losses():
    code, told, labels, codes, code_labels = problem()
    code, told = code.requires_grad_(), told.requires_grad_()

    def pros_gan(code, told):
        return tuple(ProSGANPrototype()(Prototype(code, code, told), labels, codes, code_labels).values())

    assert torch.autograd.gradcheck(pros_gan, (code, told))
    # THA's factors are constants of the gradient: d/dh of log sum a s, with a held.
    similarity = THAPrototype()(Prototype(code, code, None), labels, codes, code_labels)["similarity"]
    (found,) = torch.autograd.grad(similarity, code)
    s = (code @ codes.T / BITS).detach()
    mask = torch.tensor([[related(labels, code_labels, i, j) for j in range(NUM)] for i in range(len(code))])
    up, down = (s + 2).clamp(min=0), (2 - s).clamp(min=0)
    apart = torch.where(mask, 0.0, (up * s).exp())
    together = torch.where(mask, (-down * s).exp(), 0.0)
    slope = up * apart / apart.sum() - down * together / together.sum()
    torch.testing.assert_close(found, slope @ codes / BITS / len(code))


@pytest.mark.parametrize("value", [0, 1])
def test_labels_related_to_nothing_or_to_everything_are_finite(value):
    code, told, labels, codes, code_labels = problem()
    labels, code_labels = labels * 0 + value, code_labels * 0 + 1
    for objective in (ProSGANPrototype(), THAPrototype()):
        code = code.detach().requires_grad_()
        loss = sum(objective(Prototype(code, code, told), labels, codes, code_labels).values())
        (gradient,) = torch.autograd.grad(loss, code)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_empty_codes_cost_log_two():
    """Before a network has learned anything, theta is 0 and the likelihood of a pair one half."""
    _, told, labels, codes, code_labels = problem()
    zero = torch.zeros(4, BITS, dtype=torch.float64)
    terms = ProSGANPrototype()(Prototype(zero, zero, told), labels, codes, code_labels)
    assert terms["similarity"].item() == pytest.approx(math.log(2))


def test_pros_gan_needs_a_classifier():
    code, _, labels, codes, code_labels = problem()
    with pytest.raises(ValueError, match="with classifier"):
        ProSGANPrototype()(Prototype(code, code, None), labels, codes, code_labels)


@pytest.mark.parametrize("batch", [1, 4])
def test_generator_terms_by_loops(batch):
    code, told, labels, _, _ = problem(batch)
    scores = torch.cat([told, told[:, :1]], 1)
    for flag, last in ((REAL, 0), (FAKE, 1)):
        for row, found in enumerate(class_lsgan(scores, labels, flag).tolist()):
            wanted = [*labels[row].tolist(), last]
            squares = [(a - b) ** 2 for a, b in zip(scores[row].tolist(), wanted, strict=True)]
            assert found == pytest.approx(sum(squares) / (CLASSES + 1), rel=1e-12)
    target = torch.where(told[:, :1] > 0.5, 1, -1).expand(-1, BITS)
    for row, found in enumerate(code_disagreement(code, target).tolist()):
        assert found == pytest.approx(1 - dot(code[row], target[row]) / BITS, rel=1e-12)
    images, made = torch.rand(2, batch, 3, 4, 5, dtype=torch.float64)
    for row, found in enumerate(reconstruction(made, images).tolist()):
        pairs = zip(made[row].flatten().tolist(), images[row].flatten().tolist(), strict=True)
        assert found == pytest.approx(sum((a - b) ** 2 for a, b in pairs) / 60, rel=1e-12)


def test_gradients_of_generator_terms():
    code, told, labels, _, _ = problem()
    target = torch.ones(4, BITS, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: class_lsgan(x, labels[:, :2], REAL), told.requires_grad_())
    assert torch.autograd.gradcheck(lambda x: code_disagreement(x, target), code.requires_grad_())
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: reconstruction(x, images), torch.rand_like(images).requires_grad_())


@pytest.mark.parametrize("objective", [ProSGANPrototype(), THAPrototype()], ids=lambda one: one.product)
def test_the_best_code_of_a_label_is_that_of_its_items(objective):
    """Two classes, four noisy copies of a code each: a free prototype code ends at its class's vote."""
    generator = torch.Generator().manual_seed(3)
    centres = torch.tensor([[1.0, 1, 1, 1, -1, -1], [-1, 1, -1, 1, -1, 1]])
    codes = centres.repeat_interleave(4, dim=0)
    for row, bit in enumerate((0, 1, 2, 3) * 2):
        codes[row, bit] *= -1  # each item differs in one bit
    labels = torch.eye(2, dtype=torch.uint8)
    logits = torch.randn(2, BITS, generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(200):
        code = torch.tanh(logits)
        terms = objective(Prototype(code, code, labels.float()), labels, codes, labels.repeat_interleave(4, dim=0))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    differ = centres[0] != centres[1]  # bits that both classes share pull both ways
    assert torch.equal(logits.detach().sign()[:, differ], centres[:, differ])
