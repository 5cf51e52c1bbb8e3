"""SDHA: the sums over bits against loops over items, in value and gradient."""

import pytest
import torch

from lightning_modules.attacks import SDHAAttack
from lightning_modules.attacks.sdha import targeted_term, untargeted_term
from lightning_modules.types import AttackGoal, CodeBook
from tests.attacks.linear import BITS, LinearVictim, make_book, make_problem

BOOK = make_book(items=60)
LABELS = BOOK.labels[:6]
IDS = tuple("uvwxyz")


def by_hand(adversarial, images, codes, clean, labels, book, targeted, strength, offset):
    """The objective of each image, item by item and bit by bit, from the formulas."""
    values = []
    for x, x0, u, own, label in zip(adversarial, images, codes, clean, labels, strict=True):
        items = [r.double() for r, other in zip(book.codes, book.labels, strict=True) if (label & other).any()]
        items = items or [torch.where(own >= 0, 1.0, -1.0).double()]
        distances = []
        for r in items:
            hamming = (torch.where(u >= 0, 1.0, -1.0) != r).sum().double()
            if targeted:
                d = (0.5 * (u - r).abs() * torch.sigmoid(-10 * u * r)).sum()
                distances.append((hamming + offset) ** 0.3 * d)
            else:
                s = torch.sigmoid(5 * u * r)
                d = 0.5 * ((u - r).abs() * s).sum() + (1 - s).sum()
                distances.append(-((hamming + offset) ** -0.5) * d)
        values.append(((x - x0) ** 2).mean() + strength / len(u) * torch.stack(distances).mean())
    return torch.stack(values)


@pytest.mark.parametrize("offset", [1e-8, 1.0])
@pytest.mark.parametrize("targeted", [True, False])
def test_the_objective_item_by_item(targeted, offset):
    victim, (images, _) = LinearVictim().eval().double(), make_problem(6)
    labels = LABELS.clone()
    if not targeted:
        labels[2] = 0  # nothing shares a class: its own code stands in
    images = images.double()
    attack = SDHAAttack(targeted=targeted, offset=offset)
    goal = attack.aim(labels, IDS, BOOK, 0)

    def encode(x):
        return victim(x, 0.7)

    clean = victim(images, 1.0).detach()
    loss = attack.objective(images, goal, lambda x: victim(x, 1.0))
    generator = torch.Generator().manual_seed(8)
    for size in (0.0, 0.1, 0.5, 0.5):  # the weights follow the signs: more of them flip each time
        x = (images + size * (torch.rand(images.shape, generator=generator).double() - 0.5)).requires_grad_()
        expected = by_hand(x, images, encode(x), clean, labels, BOOK, targeted, 25.0, offset)
        found = loss(encode, x)
        torch.testing.assert_close(found, expected)
        for ours, theirs in zip(
            torch.autograd.grad(found.sum(), x), torch.autograd.grad(expected.sum(), x), strict=True
        ):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("term", [targeted_term, untargeted_term])
def test_the_term_of_a_bit_has_the_right_gradient(term):
    products = torch.linspace(-0.95, 0.95, 20, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(term, products)


def test_the_term_of_a_bit_falls_where_it_should():
    products = torch.linspace(-0.99, 0.99, 100, requires_grad=True)
    (gradient,) = torch.autograd.grad(targeted_term(products).sum(), products)
    assert (gradient < 0).all(), "agreement lowers the targeted distance"
    (gradient,) = torch.autograd.grad(untargeted_term(products).sum(), products)
    assert gradient[0].abs() < 0.1 * gradient.abs().max(), "a flipped bit is left alone"


def test_targeted_codes_come_nearer_to_the_items():
    victim, (images, _) = LinearVictim().eval(), make_problem(6)
    centre = torch.tensor([[1, -1, 1, 1, -1, -1]], dtype=torch.int8)
    book = CodeBook(centre.expand(9, -1), torch.ones(9, 1).byte(), tuple("abcdefghi"))
    attack = SDHAAttack(iterations=60, eps=0.3)
    found = attack(images, attack.aim(torch.ones(6, 1).byte(), IDS, book, 0), victim)
    with torch.no_grad():
        before, after = ((victim(x).sign() != centre).sum(1).float().mean() for x in (images, found))
    assert after < before - 1


def test_the_published_offset_stops_at_the_first_flipped_bit():
    """All items have the query's own code: with the published offset, hardly a second bit flips."""
    victim, (images, _) = LinearVictim(scale=0.1).eval(), make_problem(1)
    own = victim(images).sign().to(torch.int8).detach()
    book = CodeBook(own.expand(5, -1), torch.ones(5, 1).byte(), tuple("abcde"))
    flipped = {}
    for offset in (1e-8, 1.0):
        attack = SDHAAttack(targeted=False, iterations=200, eps=1.0, offset=offset, step=0.002)
        found = attack(images, attack.aim(torch.ones(1, 1).byte(), ("q",), book, 0), victim)
        flipped[offset] = int((victim(found).sign() != own).sum())
    assert 1 <= flipped[1e-8] < flipped[1.0] <= BITS


def test_a_target_that_nothing_carries_is_named():
    victim, (images, _) = LinearVictim(), make_problem(2)
    attack = SDHAAttack(iterations=1)
    labels = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]]).byte()
    with pytest.raises(ValueError, match="query 'two': no known item shares a class with its target label"):
        attack(images, attack.aim(labels, ("one", "two"), BOOK, 0), victim)
    with pytest.raises(ValueError, match=r"needs the codes of known items: call aim\(\) first"):
        attack(images, AttackGoal(labels), victim)


@pytest.mark.parametrize("options", [{"offset": 0.0}, {"strength": -1.0}, {"step": 0.0}, {"knowledge": "none"}])
def test_impossible_options_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}="):
        SDHAAttack(**options)
