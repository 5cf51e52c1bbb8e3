"""The folder of a trained attack: what is written is read, and what is wrong is named."""

import json
from dataclasses import replace

import pytest
import torch

from lightning_modules.attacks.folder import AttackFacts, load_folder, save_folder

FACTS = AttackFacts("Some", 8, 3, 16, ("cat", "dog", "Pferd"), "animals", "abc", {"channels": 4})
TENSORS = {"net.weight": torch.arange(6.0).view(2, 3), "labels": torch.eye(3, dtype=torch.uint8)}


def test_round_trip(tmp_path):
    folder = tmp_path / "a" / "attack"
    for facts in (FACTS, replace(FACTS, class_names=None, image_size=None, options=None)):  # the second replaces
        save_folder(folder, facts, TENSORS)
        found, tensors = load_folder(folder, "Some")
        assert found == facts
        assert {k: v.tolist() for k, v in tensors.items()} == {k: v.tolist() for k, v in TENSORS.items()}
        assert sorted(path.name for path in folder.parent.iterdir()) == ["attack"]


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="no trained attack"):
        save_folder(tmp_path, FACTS, TENSORS)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"config\.json and weights\.safetensors are expected"),
        (lambda f: (f / "weights.safetensors").unlink(), r"config\.json and weights\.safetensors are expected"),
        (lambda f: (f / "weights.safetensors").write_bytes(b"\0" * 40), "SafetensorError"),
        (lambda f: (f / "config.json").write_text("{"), "no valid JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "not written by this version"),
        (lambda f: edit(f, format=2), r"not written by this version of the suite \(format 1"),
        (lambda f: edit(f, colour="red"), "not written by this version"),
        (lambda f: edit(f, attack="Other"), "holds Other, expected Some"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, spoil, message):
    folder = tmp_path / "attack"
    save_folder(folder, FACTS, TENSORS)
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        load_folder(folder, "Some")
