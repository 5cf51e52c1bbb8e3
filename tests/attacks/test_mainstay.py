"""The mainstay code by brute force over all codes, its objective by loops."""

import itertools
import math

import pytest
import torch

from lightning_modules.attacks import MainstayAttack
from lightning_modules.attacks.mainstay import mainstay_code, mainstay_loss
from lightning_modules.types import CodeBook
from tests.attacks.linear import LinearVictim, make_book, make_problem


def weights(label, labels):
    """Cosine and dissimilarity of one label with all others, each divided by its sum, written with loops."""
    plus, minus = [], []
    for other in labels.tolist():
        shared = sum(a * b for a, b in zip(label.tolist(), other, strict=True))
        plus.append(shared / math.sqrt(sum(label.tolist()) * sum(other)) if shared else 0.0)
        minus.append(0.0 if shared else 1.0)
    return [w / (sum(plus) or 1) for w in plus], [w / (sum(minus) or 1) for w in minus]


@pytest.mark.parametrize("bits", [1, 5, 10])
def test_the_code_is_optimal_among_all(bits):
    book = make_book(bits=bits, items=31)
    book.labels[3] = 0  # an item without a class is dissimilar to all
    label = torch.cat([book.labels[:4], torch.ones(1, 4, dtype=torch.uint8)])
    found = mainstay_code(label, book)
    codes = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=bits)), dtype=torch.float64)
    for one, code in zip(label, found, strict=True):
        plus, minus = weights(one, book.labels)
        votes = torch.tensor(plus).double() - torch.tensor(minus).double()
        values = codes @ book.codes.double().T @ votes
        assert (code.double() @ book.codes.double().T @ votes).item() == pytest.approx(values.max().item(), abs=1e-6)


def test_ties_and_empty_sides():
    book = CodeBook(torch.tensor([[1, -1], [-1, -1]], dtype=torch.int8), torch.tensor([[1], [1]]).byte(), ("a", "b"))
    assert mainstay_code(torch.tensor([[1]]).byte(), book).tolist() == [[1, -1]]  # nothing is dissimilar, one tie
    assert mainstay_code(torch.tensor([[0]]).byte(), book).tolist() == [[1, 1]]  # nothing is similar
    with pytest.raises(ValueError, match="the code book is empty"):
        mainstay_code(torch.tensor([[1]]).byte(), book.part([]))


@pytest.mark.parametrize("targeted", [True, False])
def test_the_objective_by_loops(targeted):
    generator = torch.Generator().manual_seed(0)
    codes = torch.rand(6, 8, generator=generator, dtype=torch.float64) * 2 - 1
    mainstay = torch.randint(2, (6, 8), generator=generator).double() * 2 - 1
    codes[0] = mainstay[0] * (0.9 if targeted else -0.9)  # every bit is there
    for u, m, value in zip(codes.tolist(), mainstay.tolist(), mainstay_loss(codes, mainstay, targeted), strict=True):
        products = [a * b for a, b in zip(u, m, strict=True)]
        waiting = [s for s in products if (s < 0.5 if targeted else s > -0.5)]
        expected = sum((s + 2) * s for s in waiting) / max(len(waiting), 1)
        assert value.item() == pytest.approx(-expected if targeted else expected)
    assert mainstay_loss(codes, mainstay, targeted)[0] == 0
    inputs = codes[1:].requires_grad_()
    assert torch.autograd.gradcheck(lambda u: mainstay_loss(u, mainstay[1:], targeted), inputs)


@pytest.mark.parametrize("targeted", [True, False])
def test_codes_come_nearer_to_the_anchor(targeted):
    victim, (images, _), book = LinearVictim().eval(), make_problem(8), make_book()
    attack = MainstayAttack(targeted=targeted, eps=0.2, iterations=60)
    goal = attack.aim(book.labels[:8], book.ids[:8], book, 0)
    own = mainstay_code(book.labels[:8], book)
    assert torch.equal(goal.code, own if targeted else -own)
    with torch.no_grad():
        before, after = ((victim(x).sign() * goal.code).sum(1) for x in (images, attack(images, goal, victim)))
    assert (after >= before).all()
    assert after.mean() > before.mean() + 2


def test_the_start_is_random_but_its_own():
    victim, (images, _), book = LinearVictim(), make_problem(3), make_book()
    attack = MainstayAttack(iterations=1, step=1e-9)
    starts = [attack(images, attack.aim(book.labels[:3], ids, book, seed), victim) for ids, seed in
              ((("a", "b", "c"), 0), (("c", "b", "a"), 0), (("a", "b", "c"), 1))]  # fmt: skip
    deltas = [start - images for start in starts]
    assert deltas[0].abs().max() <= 8 / 255 + 1e-6
    assert deltas[0].abs().mean() > 2 / 255  # half of the budget on average
    torch.testing.assert_close(deltas[0][[2, 1, 0]], deltas[1], rtol=0, atol=1e-6)
    assert not torch.allclose(deltas[0], deltas[2], atol=1e-3)
    still = MainstayAttack(iterations=1, step=1e-9, random_start=False)
    goal = still.aim(book.labels[:3], ("a", "b", "c"), book, 0)
    torch.testing.assert_close(still(images, goal, victim), images, rtol=0, atol=1e-6)


def test_it_knows_the_training_items_unless_told_otherwise():
    assert MainstayAttack().knowledge == "training"
    assert MainstayAttack(knowledge="database").knowledge == "database"
    with pytest.raises(ValueError, match=r"^knowledge='all': expected"):
        MainstayAttack(knowledge="all")
