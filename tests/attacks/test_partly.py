"""A query set of which a share is attacked."""

from __future__ import annotations

import pytest
import torch

from lightning_modules.attacks import HAGAttack, IterativeCodeAttack, PartlyAttacked, VictimFacts
from lightning_modules.types import AttackGoal
from tests.attacks.linear import SIDE, LinearVictim, make_book

BOOK = make_book()
LABELS = BOOK.labels[:7]
IDS = tuple(f"query-{i}" for i in range(7))
IMAGES = torch.rand(7, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def dhta(**options) -> IterativeCodeAttack:
    return IterativeCodeAttack(num_items=3, iterations=4, step_rule="sign", step=1 / 255, **options)


def craft(attack, rows=slice(None), seed=0):
    goal = attack.aim(LABELS[rows], IDS[rows], BOOK, seed)
    return attack(IMAGES[rows], goal, LinearVictim())


@pytest.mark.parametrize("seed", [0, 1])
def test_the_reached_are_attacked_as_ever_and_the_others_stay(seed):
    mixed = PartlyAttacked(dhta(), 0.5)
    reached = mixed.reached(IDS, seed)
    assert 0 < reached.sum() < 7
    found, whole = craft(mixed, seed=seed), craft(dhta(), seed=seed)
    assert torch.equal(found[~reached], IMAGES[~reached])
    torch.testing.assert_close(found[reached], whole[reached])
    assert (found[reached] != IMAGES[reached]).flatten(1).any(dim=1).all()


def test_who_is_reached_depends_on_id_and_seed_only():
    mixed = PartlyAttacked(dhta(), 0.5)
    whole = mixed.reached(IDS, 3)
    parts = torch.cat([mixed.reached(IDS[i : i + 2], 3) for i in range(0, 7, 2)])
    assert torch.equal(parts, whole)
    assert torch.equal(mixed.reached(IDS[::-1], 3).flip(0), whole)
    torch.testing.assert_close(torch.cat([craft(mixed, slice(i, i + 3)) for i in range(0, 7, 3)]), craft(mixed))


def test_the_share_is_met_and_a_larger_one_reaches_the_same_and_more():
    ids = [f"image-{i}" for i in range(4000)]
    few, many = (PartlyAttacked(dhta(), share).reached(ids, 0) for share in (0.2, 0.6))
    assert few.float().mean() == pytest.approx(0.2, abs=0.02)
    assert many.float().mean() == pytest.approx(0.6, abs=0.03)
    assert many[few].all()


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (1.0, 7)])
def test_none_and_all(share, count):
    found = craft(PartlyAttacked(dhta(), share))
    assert (found != IMAGES).flatten(1).any(dim=1).sum() == count
    assert found.dtype == torch.float32


def test_it_is_what_its_attack_is():
    class Narrow(IterativeCodeAttack):
        def check(self, victim):
            raise ValueError("does not fit")

    assert PartlyAttacked(dhta()).targeted
    assert not PartlyAttacked(HAGAttack()).targeted
    assert PartlyAttacked(dhta()).knowledge == dhta().knowledge
    with pytest.raises(ValueError, match="does not fit"):
        PartlyAttacked(Narrow()).check(VictimFacts(8, ("a",), SIDE))


def test_texts_are_handed_out_with_their_queries():
    texts, seen = torch.arange(14.0).view(7, 2), []

    class Reader(IterativeCodeAttack):
        def forward(self, images, goal, victim):
            seen.append((goal.ids, goal.text, goal.label))
            return images

    mixed = PartlyAttacked(Reader(num_items=1), 0.5)
    mixed(IMAGES, mixed.aim_at_items(LABELS, texts, IDS, BOOK, 0), LinearVictim())
    ((ids, text, label),) = seen
    rows = [IDS.index(one) for one in ids]
    assert torch.equal(text, texts[rows])
    assert torch.equal(label, LABELS[rows])


def test_the_fingerprint_holds_share_and_attack():
    prints = {PartlyAttacked(a, s).fingerprint() for a in (dhta(), dhta(eps=4 / 255)) for s in (0.5, 0.6)}
    assert len(prints) == 4
    assert PartlyAttacked(dhta(), 0.5).fingerprint() in prints


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match=r"share=1\.5: expected a number from 0 to 1"):
        PartlyAttacked(dhta(), 1.5)
    with pytest.raises(ValueError, match="0 ids for 7 images"):
        PartlyAttacked(dhta())(IMAGES, AttackGoal(LABELS, code=BOOK.codes[:7]), LinearVictim())
