"""Universal perturbations as a plain attack."""

import pytest
import torch

from lightning_modules.attacks import UniversalPerturbation
from lightning_modules.attacks.folder import AttackFacts, save_folder

SIDE, BITS = 4, 6
LABELS = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=torch.uint8)


@pytest.fixture
def problem(tmp_path):
    generator = torch.Generator().manual_seed(0)
    deltas = (torch.rand(3, 3, SIDE, SIDE, generator=generator) - 0.5) * 0.06
    anchors = torch.randint(2, (3, BITS), generator=generator, dtype=torch.int8) * 2 - 1
    facts = AttackFacts("UniversalPerturbation", BITS, 3, SIDE, ("cat", "dog", "horse"))
    tensors = {"labels": LABELS, "anchors": anchors, "deltas": deltas}
    save_folder(tmp_path / "universal", facts, tensors)
    return str(tmp_path / "universal"), facts, tensors


def test_every_target_has_its_perturbation(problem):
    path, _, tensors = problem
    attack, order = UniversalPerturbation(path), [2, 0, 1, 1]
    images = torch.rand(4, 3, SIDE, SIDE)
    goal = attack.aim(LABELS[order], "abcd", None, seed=0)
    assert torch.equal(goal.code, tensors["anchors"][order])
    found = attack(images, goal, None)
    torch.testing.assert_close(found, (images + tensors["deltas"][order]).clamp(0, 1), rtol=0, atol=0)
    assert (found - images).abs().max() <= 0.03 + 1e-7
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_target_without_perturbation_is_named(problem):
    with pytest.raises(ValueError, match=r"no perturbation was trained for the target \['dog', 'horse'\]"):
        UniversalPerturbation(problem[0]).aim(torch.tensor([[1, 0, 0], [0, 1, 1]], dtype=torch.uint8), "ab", None, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("anchors"), "expected tensors of the shapes"),
        (lambda t: t.update(deltas=torch.zeros(3, 3, SIDE, SIDE + 1)), "expected tensors of the shapes"),
        (lambda t: t.update(deltas=torch.full((3, 3, SIDE, SIDE), torch.nan)), "NaN"),
        (lambda t: t.update({k: v[:0] for k, v in t.items()}), "expected tensors of the shapes"),
    ],
)
def test_damaged_folders_are_named(problem, tmp_path, change, message):
    _, facts, tensors = problem
    change(tensors)
    save_folder(tmp_path / "damaged", facts, tensors)
    with pytest.raises(ValueError, match=message):
        UniversalPerturbation(str(tmp_path / "damaged"))


def test_pictures_of_another_size_are_refused(problem):
    attack = UniversalPerturbation(problem[0])
    with pytest.raises(ValueError, match=r"\(3, 8, 8\), the perturbations \(3, 4, 4\)"):
        attack(torch.rand(1, 3, 8, 8), attack.aim(LABELS[:1], "a", None, 0), None)
