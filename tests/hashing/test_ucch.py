"""UCCH against loops over its formulas; warm-up and memory."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from lightning_modules.hashing.losses import UCCH, TrainingFacts
from lightning_modules.hashing.losses.ucch import contrastive, ranking
from lightning_modules.types import Batch

ITEMS, BITS = 6, 4


def unit_codes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, BITS, dtype=torch.float64, generator=generator), dim=1)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_contrast_is_a_softmax_over_own_code_and_negatives():
    codes, signs = unit_codes(2, 0), unit_codes(ITEMS, 1).sign()
    negatives = torch.tensor([[0, 5, 5], [3, 1, 0]])
    found = contrastive(codes, signs, torch.tensor([4, 2]), negatives, 0.7)
    for i, own in enumerate((4, 2)):
        terms = [math.exp(dot(codes[i].tolist(), signs[j].tolist()) / (0.7 * 2)) for j in (own, *negatives[i].tolist())]
        assert found[i].item() == pytest.approx(-math.log(terms[0] / sum(terms)))


def test_ranking_is_the_formula():
    image, text = unit_codes(5, 2), unit_codes(5, 3)
    s = [[dot(a, b) for b in text.tolist()] for a in image.tolist()]
    for i, value in enumerate(ranking(image, text, 0.2, 1.0).tolist()):
        row, column = s[i], [s[j][i] for j in range(5)]
        expected = 0.0
        for scores in (row, column):
            shifted = [x - (1.0 if x < s[i][i] - 0.2 else 0.0) for x in scores]
            expected += 0.2 - s[i][i] + math.log(sum(map(math.exp, shifted)))
        assert value == pytest.approx(expected)


def test_gradients():
    image, text = unit_codes(3, 4).requires_grad_(), unit_codes(3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, v: ranking(u, v, 0.2, 1.0), (image, text))
    signs, index, negatives = unit_codes(ITEMS, 1).sign(), torch.tensor([4, 2, 0]), torch.tensor([[1], [5], [3]])
    assert torch.autograd.gradcheck(lambda u: contrastive(u, signs, index, negatives, 0.9), image)


def make_loss(**options):
    torch.manual_seed(0)
    loss = UCCH(**options)
    loss.setup(TrainingFacts(torch.zeros(ITEMS, 2, dtype=torch.uint8), BITS))
    return loss


def make_batch(rows):
    rows = torch.tensor(rows)
    ids = tuple(map(str, rows.tolist()))
    return Batch(torch.empty(len(rows), 3, 0, 0), torch.zeros(len(rows), 2, dtype=torch.uint8), rows, ids)


def test_a_batch_is_contrasted_with_itself_first_and_with_the_memory_then():
    loss, rows = make_loss(), [5, 0, 3]
    image, text = unit_codes(3, 6).float(), unit_codes(3, 7).float()
    batch, codes, before = make_batch(rows), {"image": image, "text": text}, loss.memory.clone()
    own = ((image + text) / 2 >= 0).float() * 2 - 1
    others = torch.tensor([[1, 2], [2, 0], [0, 1]])
    contrast = sum(contrastive(one, own, torch.arange(3), others, 0.9) for one in (image, text))
    torch.testing.assert_close(loss(codes, batch), 0.9 * contrast + 0.1 * ranking(image, text, 0.2, 1.0))
    torch.testing.assert_close(loss.memory[rows], F.normalize(image + text, dim=1))
    untouched = [1, 2, 4]
    assert torch.equal(loss.memory[untouched], before[untouched])
    loss.end_epoch()
    memory = loss.memory.clone()
    torch.manual_seed(1)
    drawn = torch.randint(ITEMS, (3, 4096))
    torch.manual_seed(1)
    found = loss({"image": text, "text": text}, batch)
    signs = (memory >= 0).float() * 2 - 1
    contrast = 2 * contrastive(text, signs, batch.index, drawn, 0.9)
    torch.testing.assert_close(found, 0.9 * contrast + 0.1 * ranking(text, text, 0.2, 1.0))
    torch.testing.assert_close(loss.memory[rows], F.normalize(0.4 * memory[rows] + 0.6 * text, dim=1))


def test_one_sample_is_enough():
    loss = make_loss()
    image, text = (unit_codes(1, seed).float().requires_grad_() for seed in (8, 9))
    value = loss({"image": image, "text": text}, make_batch([2]))
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(image.grad).all()


def test_codes_have_length_one_and_the_signs_of_the_layer():
    logits = torch.randn(5, BITS)
    codes = UCCH().relax(logits, 0)
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(5))
    assert torch.equal(codes.sign(), logits.sign())


@pytest.mark.parametrize("options", [{"alpha": 1.5}, {"momentum": -1}, {"temperature": 0.0}, {"negatives": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        UCCH(**options)
