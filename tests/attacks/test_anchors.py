"""Anchor codes against a vote by hand."""

import pytest
import torch

from lightning_modules.attacks.anchors import voting_anchor
from lightning_modules.types import CodeBook

BITS = 16


def make_knowledge(items=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(2, (items, BITS), generator=generator, dtype=torch.int8) * 2 - 1
    labels = torch.randint(2, (items, 3), generator=generator, dtype=torch.uint8)
    return CodeBook(codes, labels, tuple(f"item-{i}" for i in range(items)))


KNOWLEDGE = make_knowledge()
TARGETS = KNOWLEDGE.labels[:20]
IDS = tuple(f"query-{i}" for i in range(20))


def carriers(label):
    """List the rows whose label equals the target in every class, not only in those it has."""
    return [row for row, other in enumerate(KNOWLEDGE.labels.tolist()) if other == label.tolist()]


def vote(rows):
    """Vote bit by bit; a tie goes to +1."""
    columns = zip(*[KNOWLEDGE.codes[row].tolist() for row in rows], strict=True)
    return [1 if column.count(1) >= column.count(-1) else -1 for column in columns]


def test_a_vote_of_all_carriers_is_their_majority():
    for label, sample_id in zip(TARGETS, IDS, strict=True):
        rows = carriers(label)
        anchor = voting_anchor(label[None], [sample_id], KNOWLEDGE, len(rows), seed=0, replacement=False)
        assert anchor.dtype == torch.int8
        assert anchor[0].tolist() == vote(rows)


def test_one_item_is_p2p():
    anchors = voting_anchor(TARGETS, IDS, KNOWLEDGE, 1, seed=0)
    for anchor, label in zip(anchors, TARGETS, strict=True):
        assert anchor.tolist() in [KNOWLEDGE.codes[row].tolist() for row in carriers(label)]


@pytest.mark.parametrize("replacement", [True, False])
def test_three_items_vote(replacement):
    anchors = voting_anchor(TARGETS, IDS, KNOWLEDGE, 3, seed=0, replacement=replacement)
    for anchor, label in zip(anchors, TARGETS, strict=True):
        rows = carriers(label)
        triples = ((a, b, c) for a in rows for b in rows for c in rows)
        possible = [vote(t) for t in triples if replacement or len(set(t)) == 3]
        assert anchor.tolist() in possible


def test_a_tie_becomes_plus_one():
    codes = torch.stack([torch.ones(BITS), -torch.ones(BITS)]).to(torch.int8)
    pair = CodeBook(codes, torch.ones(2, 1, dtype=torch.uint8), ("a", "b"))
    anchor = voting_anchor(torch.ones(1, 1, dtype=torch.uint8), ["q"], pair, 2, seed=0, replacement=False)
    assert anchor.tolist() == [[1] * BITS]


def test_many_votes_do_not_overflow():
    book = CodeBook(torch.ones(1, BITS, dtype=torch.int8), torch.ones(1, 1, dtype=torch.uint8), ("a",))
    anchor = voting_anchor(torch.ones(1, 1, dtype=torch.uint8), ["q"], book, 1001, seed=0)
    assert anchor.tolist() == [[1] * BITS]


def test_the_draw_depends_on_seed_and_id_alone():
    whole = voting_anchor(TARGETS, IDS, KNOWLEDGE, 3, seed=0)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    shuffled = voting_anchor(TARGETS[order], [IDS[i] for i in order], KNOWLEDGE, 3, seed=0)
    assert torch.equal(shuffled, whole[order])
    single = torch.cat([voting_anchor(TARGETS[i : i + 1], IDS[i : i + 1], KNOWLEDGE, 3, seed=0) for i in range(20)])
    assert torch.equal(single, whole)
    assert not torch.equal(voting_anchor(TARGETS, IDS, KNOWLEDGE, 3, seed=1), whole)
    same = TARGETS[:1].expand(20, -1)
    assert len(voting_anchor(same, IDS, KNOWLEDGE, 1, seed=0).unique(dim=0)) > 1  # another id, another item


def test_with_replacement_few_items_are_enough():
    label = TARGETS[:1]
    count = len(carriers(label[0]))
    assert voting_anchor(label, IDS[:1], KNOWLEDGE, count + 2, seed=0).shape == (1, BITS)
    with pytest.raises(ValueError, match=f"'query-0': {count} items .* {count + 2} are needed"):
        voting_anchor(label, IDS[:1], KNOWLEDGE, count + 2, seed=0, replacement=False)


def test_an_unknown_label_names_its_query():
    book = CodeBook(KNOWLEDGE.codes, KNOWLEDGE.labels | torch.tensor([1, 0, 0], dtype=torch.uint8), KNOWLEDGE.ids)
    label = torch.tensor([[1, 0, 0], [0, 1, 1]], dtype=torch.uint8)
    with pytest.raises(ValueError, match="query 'two': 0 items carry its target label exactly"):
        voting_anchor(label, ["one", "two"], book, 1, seed=0)


def test_one_id_per_label():
    with pytest.raises(ValueError, match="zip"):
        voting_anchor(TARGETS, IDS[:-1], KNOWLEDGE, 1, seed=0)
