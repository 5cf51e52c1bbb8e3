"""TA-DCH as a plain attack: texts for targets, one pass of the generator."""

import pytest
import torch

from lightning_modules.attacks import TADCH, VictimFacts
from lightning_modules.attacks.folder import AttackFacts, load_folder, prefixed, save_folder
from lightning_modules.attacks.networks import FusionPrototypeNet, TADCHGenerator
from lightning_modules.types import AttackGoal, binarize

BITS, SIDE, LABELS = 8, 16, torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=torch.uint8)
FACTS = AttackFacts("TADCH", BITS, 3, SIDE, options={"channels": 4, "hidden": 6})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    networks = {"prototype": FusionPrototypeNet(3, 5, BITS, hidden=6).eval(), "generator": TADCHGenerator(SIDE, 4)}
    path = tmp_path_factory.mktemp("attack") / "ta-dch"
    tensors = prefixed(networks) | {"labels": LABELS, "texts": torch.randn(4, 5)}
    save_folder(path, FACTS, tensors)
    return str(path), networks, tensors["texts"]


def test_a_target_borrows_the_text_of_an_item_with_its_label(folder):
    attack, ids = TADCH(folder[0]), [f"query-{i}" for i in range(40)]
    rows = attack.rows(LABELS[:1].expand(40, -1), ids, seed=0)
    assert set(rows.tolist()) == {0, 1}
    assert torch.equal(rows, torch.cat([attack.rows(LABELS[:1], [name], seed=0) for name in ids]))
    assert attack.rows(LABELS[2:], ("a", "b"), seed=0).tolist() == [2, 3]
    nearest = torch.tensor([[1, 1, 1], [0, 1, 1]], dtype=torch.uint8)  # Jaccard 2/3 with row 3; 1/2 with row 2
    assert attack.rows(nearest, ("a", "b"), seed=0).tolist() == [3, 2]


def test_a_target_item_brings_its_own_text(folder):
    """Label and text of the same database item, as in the paper: no other text of that label is looked up."""
    path, networks, texts = folder
    attack, own = TADCH(path), torch.linspace(-2, 2, 10).view(2, 5)
    goal = attack.aim_at_items(LABELS[2:], own, ("a", "b"), None, seed=0)
    assert torch.equal(goal.text, own)
    with torch.no_grad():
        prototype = networks["prototype"](LABELS[2:], own)
    assert torch.equal(goal.code, binarize(prototype.code))
    torch.testing.assert_close(attack.semantics(goal), prototype.semantic)
    assert not torch.allclose(attack.semantics(goal), attack.semantics(attack.aim(LABELS[2:], "ab", None, seed=0)))
    borrowed = attack.aim_at_items(LABELS[2:], texts[2:], "ab", None, seed=0)
    assert torch.equal(borrowed.code, attack.aim(LABELS[2:], "ab", None, seed=0).code)


def test_texts_of_another_width_are_refused(folder):
    attack = TADCH(folder[0])
    attack.check(VictimFacts(BITS, ("x", "y", "z"), SIDE))  # a hasher of images: texts are borrowed
    attack.check(VictimFacts(BITS, ("x", "y", "z"), SIDE, text_width=5))
    with pytest.raises(ValueError, match="was trained on 5 text features, the data has 7"):
        attack.check(VictimFacts(BITS, ("x", "y", "z"), SIDE, text_width=7))


def test_it_is_one_pass_of_the_generator(folder):
    path, networks, texts = folder
    attack, images = TADCH(path), torch.rand(2, 3, SIDE, SIDE)
    goal = attack.aim(LABELS[2:], ("a", "b"), None, seed=0)
    assert torch.equal(goal.text, texts[2:])
    with torch.no_grad():
        prototype = networks["prototype"](LABELS[2:], texts[2:])
        expected = (networks["generator"](2 * images - 1, prototype.semantic) + 1) / 2
    assert torch.equal(goal.code, binarize(prototype.code))
    found = attack(images, goal, None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    single = [attack(images[i : i + 1], AttackGoal(goal.label[[i]], None, goal.text[[i]]), None) for i in (0, 1)]
    torch.testing.assert_close(torch.cat(single), found, rtol=0, atol=1e-5)
    clipped = TADCH(path, eps=8 / 255)(images, goal, None)
    assert (clipped - images).abs().max() <= 8 / 255 + 1e-7


def test_it_needs_a_text(folder):
    with pytest.raises(ValueError, match=r"call aim\(\) first"):
        TADCH(folder[0])(torch.rand(1, 3, SIDE, SIDE), AttackGoal(LABELS[:1]), None)


def test_a_folder_without_texts_is_named(folder, tmp_path):
    facts, tensors = load_folder(folder[0], "TADCH")
    del tensors["texts"]
    save_folder(tmp_path / "spoiled", facts, tensors)
    with pytest.raises(ValueError, match="no texts of target items"):
        TADCH(str(tmp_path / "spoiled"))
