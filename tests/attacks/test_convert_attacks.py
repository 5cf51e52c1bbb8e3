"""Published state dicts become attacks; whole modules are refused with the way out."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_modules.attacks import THA, ProSGAN, VictimFacts
from lightning_modules.attacks.convert import convert_pros_gan, main
from lightning_modules.types import binarize
from tests.attacks.published import published_generator, published_prototype

NAMES = ("cat", "dog", "horse")


@pytest.fixture
def files(tmp_path):
    """Small ones: 16 px pictures, one stage; ``module.`` as data parallel training leaves it."""
    torch.manual_seed(0)
    prototype, generator = published_prototype(12, 3), published_generator(side=8, stages=1)
    torch.save(prototype.state_dict(), tmp_path / "prototypenet_X.pth")
    torch.save({f"module.{k}": v for k, v in generator.state_dict().items()}, tmp_path / "generator_X_100_1.pth")
    return prototype, generator, [str(tmp_path / "prototypenet_X.pth"), str(tmp_path / "generator_X_100_1.pth")]


def test_pros_gan_is_the_published_computation(files, tmp_path):
    prototype, generator, paths = files
    assert main(["pros-gan", *paths, str(tmp_path / "attack"), '--class_names=["cat","dog","horse"]']) == 0
    attack = ProSGAN(str(tmp_path / "attack"))
    attack.check(VictimFacts(12, NAMES, 16))
    with pytest.raises(ValueError, match="another order"):
        attack.check(VictimFacts(12, NAMES[::-1], 16))
    labels, images = torch.eye(3, dtype=torch.uint8), torch.rand(3, 3, 16, 16)
    goal = attack.aim(labels, ("a", "b", "c"), None, seed=0)
    with torch.no_grad():
        semantic = prototype.feature(labels.float())
        assert torch.equal(goal.code, binarize(prototype.hashing(semantic)))
        label = generator.label_encoder.transform(generator.label_encoder.fc(semantic).view(3, 128, 8, 8))
        x = 2 * images - 1
        state = torch.cat([label, x], 1)
        for layer in (*generator.image_encoder, *generator.decoder):
            state = state + layer.main(state) if hasattr(layer, "main") else layer(state)
        expected = (generator.residual(torch.cat([state, x], 1)) + 1) / 2
    torch.testing.assert_close(attack(images, goal, None), expected, rtol=0, atol=1e-6)


def test_the_published_size_is_recognised(tmp_path):
    torch.save(published_prototype(32, 38).state_dict(), tmp_path / "p.pth")
    torch.save(published_generator().state_dict(), tmp_path / "g.pth")
    convert_pros_gan(str(tmp_path / "p.pth"), str(tmp_path / "g.pth"), str(tmp_path / "attack"))
    facts = ProSGAN(str(tmp_path / "attack")).facts
    assert (facts.image_size, facts.num_bits, facts.num_classes, facts.class_names) == (224, 32, 38, None)


def test_tha(tmp_path):
    network = published_prototype(12, 3, classifier=False)
    torch.save(network.state_dict(), tmp_path / "p.pth")
    assert main(["tha", str(tmp_path / "p.pth"), str(tmp_path / "attack")]) == 0
    goal = THA(str(tmp_path / "attack")).aim(torch.eye(3), ("a", "b", "c"), None, seed=0)
    assert torch.equal(goal.code, binarize(network.hashing(network.feature(torch.eye(3)))))


def whole(path):
    torch.save(nn.Sequential(nn.Linear(2, 2)), path)


def without(key):
    return lambda path: torch.save({k: v for k, v in torch.load(path).items() if k != key}, path)


def poisoned(path):
    weights = torch.load(path)
    weights["hashing.0.bias"][0] = torch.nan
    torch.save(weights, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (whole, "save its state_dict"),
        (lambda path: torch.save([1, 2], path), "expected a state dict"),
        (lambda path: Path(path).write_text("text"), "not what torch.save writes"),
        (without("hashing.0.weight"), "no weight 'hashing.0.weight'"),
        (without("classifier.0.bias"), "'classifier.0.bias' has shape None"),
        (poisoned, "NaN"),
    ],
)
def test_what_is_wrong_is_named(files, tmp_path, spoil, message, capsys):
    paths = files[2]
    spoil(paths[0])
    assert main(["pros-gan", *paths, str(tmp_path / "attack")]) == 1
    said = capsys.readouterr().err
    assert paths[0] in said
    assert message in said
    assert not (tmp_path / "attack").exists()


def test_a_missing_file_and_a_wrong_number_of_names(files, tmp_path, capsys):
    paths = files[2]
    assert main(["pros-gan", "nothing.pth", paths[1], str(tmp_path / "attack")]) == 1
    assert "nothing.pth: no such file" in capsys.readouterr().err
    assert main(["pros-gan", *paths, str(tmp_path / "attack"), '--class_names=["cat"]']) == 1
    assert "knows 3 classes, class_names lists 1" in capsys.readouterr().err
