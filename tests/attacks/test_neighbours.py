"""Relevant items by their codes: against torch's unique, and against a loop over items."""

import pytest
import torch

from lightning_modules.attacks.neighbours import different_codes, find_neighbours
from lightning_modules.types import AttackGoal, CodeBook
from tests.attacks.linear import BITS, make_book


@pytest.mark.parametrize("bits", [1, 3, 8, 31, 32, 33, 64, 100, 129])
def test_different_codes_are_those_of_unique_and_in_its_order(bits):
    generator = torch.Generator().manual_seed(bits)
    few = torch.randint(2, (30, bits), generator=generator, dtype=torch.int8) * 2 - 1
    few[15:, : bits - 1] = few[:15, : bits - 1]  # half of them differ in the last bit at most
    codes = few[torch.randint(30, (200,), generator=generator)]
    for found, expected in zip(different_codes(codes), codes.unique(dim=0, return_inverse=True), strict=True):
        assert torch.equal(found, expected)


def test_no_codes_are_no_different_codes():
    codes, place = different_codes(torch.zeros(0, 5, dtype=torch.int8))
    assert codes.shape == (0, 5)
    assert place.shape == (0,)


def test_shares_count_the_relevant_items_of_each_code():
    book = make_book(items=200)  # of 64 codes at most
    labels = book.labels[:5].clone()
    labels[3] = 0
    own = torch.full((5, BITS), -1, dtype=torch.int8)
    found = find_neighbours(AttackGoal(labels, ids=tuple("abcde")), book, own)
    for row, label in enumerate(labels):
        items = [code for code, other in zip(book.codes, book.labels, strict=True) if (label & other).any()]
        expected = torch.stack(items or [own[row]]).double().mean(dim=0)
        torch.testing.assert_close(found.shares[row] @ found.codes.double(), expected)
        wanted = {tuple(code.tolist()) for code in items} or {tuple(own[row].tolist())}
        assert {tuple(code.tolist()) for code in found.codes[found.shares[row] > 0]} == wanted
    assert len(found.codes) == len(book.codes.unique(dim=0)) + 1, "codes count once, and one stands in"


def test_an_empty_book_holds_no_relevant_item():
    book = CodeBook(torch.zeros(0, BITS, dtype=torch.int8), torch.zeros(0, 4, dtype=torch.uint8), ())
    with pytest.raises(ValueError, match="query 'q': no known item shares a class with its target label"):
        find_neighbours(AttackGoal(torch.ones(1, 4, dtype=torch.uint8), ids=("q",)), book)
