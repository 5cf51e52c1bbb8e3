"""ProS-GAN as a plain attack: from a folder, in range, within a budget if asked, and only where it fits."""

from dataclasses import replace

import pytest
import torch

from lightning_modules.attacks import ProSGAN, VictimFacts
from lightning_modules.attacks.folder import AttackFacts, load_folder, prefixed, save_folder
from lightning_modules.attacks.networks import ProSGANGenerator, PrototypeNet
from lightning_modules.types import CodeBook

CLASSES, BITS, SIDE = ("cat", "dog", "horse"), 8, 16
FACTS = AttackFacts("ProSGAN", BITS, len(CLASSES), SIDE, CLASSES, "animals", "abc", {"channels": 4})
FITTING = VictimFacts(BITS, CLASSES, SIDE)
BOOK = CodeBook(torch.ones(1, BITS, dtype=torch.int8), torch.ones(1, 3, dtype=torch.uint8), ("a",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    networks = {"prototype": PrototypeNet(len(CLASSES), BITS), "generator": ProSGANGenerator(SIDE, channels=4)}
    path = tmp_path_factory.mktemp("attack") / "pros-gan"
    save_folder(path, FACTS, prefixed(networks))
    return str(path), networks


def problem(count=5):
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(2, (count, 3), generator=generator, dtype=torch.uint8)
    return torch.rand(count, 3, SIDE, SIDE, generator=generator), labels


def never(*_, **__):
    raise AssertionError("the victim is not asked")


def test_it_is_one_pass_of_the_generator(folder):
    path, networks = folder
    images, labels = problem()
    attack = ProSGAN(path).train()
    goal = attack.aim(labels, "abcde", BOOK, seed=0)
    with torch.no_grad():
        prototype = networks["prototype"](labels)
        expected = (networks["generator"](images * 2 - 1, prototype.semantic) + 1) / 2
    assert torch.equal(goal.code.float(), torch.where(prototype.code >= 0, 1.0, -1.0))
    assert torch.equal(goal.label, labels)
    found = attack(images, goal, never)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert not attack.training
    assert (found - images).abs().max() > 0.1, "no budget, as published"


def test_an_image_does_not_depend_on_its_batch(folder):
    attack, (images, labels) = ProSGAN(folder[0]), problem()
    goal = attack.aim(labels, "abcde", BOOK, seed=0)
    single = [attack(images[i : i + 1], replace(goal, label=labels[i : i + 1]), never) for i in range(5)]
    torch.testing.assert_close(torch.cat(single), attack(images, goal, never), rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("eps", [8 / 255, None])
def test_budget_and_range(folder, eps, precision):
    images, labels = problem()
    images[0], images[1] = 0, 1  # on the border
    attack = ProSGAN(folder[0], eps=eps, precision=precision)
    found = attack(images, attack.aim(labels, "abcde", BOOK, seed=0), never)
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert eps is None or (found - images).abs().max() <= eps + 1e-7
    full = ProSGAN(folder[0], eps=eps)(images, attack.aim(labels, "abcde", BOOK, seed=0), never)
    assert (full - found).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        (replace(FITTING, num_bits=16), "trained for 8 bits, the hasher has 16"),
        (replace(FITTING, class_names=("cat", "dog")), "knows 3 classes, the data has 2"),
        (replace(FITTING, class_names=("dog", "cat", "horse")), "another order of them"),
        (replace(FITTING, image_size=32), "pictures of 16 px, the data has 32 px"),
    ],
)
def test_a_victim_that_does_not_fit_is_refused(folder, victim, message):
    attack = ProSGAN(folder[0])
    attack.check(FITTING)
    with pytest.raises(ValueError, match=message):
        attack.check(victim)


def test_pictures_of_another_size_are_refused(folder):
    attack, labels = ProSGAN(folder[0]), problem()[1]
    with pytest.raises(ValueError, match="32 x 32 px, this attack 16 x 16"):
        attack(torch.rand(5, 3, 32, 32), attack.aim(labels, "abcde", BOOK, seed=0), never)


def test_fingerprint_is_options_and_weights_not_the_place(folder, tmp_path):
    path, _ = folder
    facts, tensors = load_folder(path, "ProSGAN")
    save_folder(tmp_path / "copy", facts, tensors)
    reference = ProSGAN(path).fingerprint()
    assert ProSGAN(str(tmp_path / "copy")).fingerprint() == reference
    assert ProSGAN(path, eps=0.1).fingerprint() != reference
    tensors["generator.residual.0.weight"][0, 0, 0, 0] += 1
    save_folder(tmp_path / "copy", facts, tensors)
    assert ProSGAN(str(tmp_path / "copy")).fingerprint() != reference


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("prototype.hashing.0.bias"), r"do not fit.*'prototype\.hashing\.0\.bias'"),
        (lambda t: t.update({"generator.more": torch.ones(1)}), r"do not fit.*'generator\.more'"),
        (lambda t: t.update({"prototype.hashing.0.bias": torch.ones(9)}), "do not fit"),
        (lambda t: t["prototype.hashing.0.bias"].fill_(torch.nan), "NaN"),
    ],
)
def test_weights_that_do_not_fit_are_named(folder, tmp_path, change, message):
    facts, tensors = load_folder(folder[0], "ProSGAN")
    change(tensors)
    save_folder(tmp_path / "spoiled", facts, tensors)
    with pytest.raises(ValueError, match=message):
        ProSGAN(str(tmp_path / "spoiled"))


@pytest.mark.parametrize("options", [{"eps": 0.0}, {"eps": -1.0}, {"precision": "float16"}])
def test_impossible_options_are_refused(folder, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}="):
        ProSGAN(folder[0], **options)
