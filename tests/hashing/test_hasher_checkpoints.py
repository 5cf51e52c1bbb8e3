"""What is wrong with a hasher is said before any work."""

from __future__ import annotations

import pytest
import torch

from datamodules import ScenesDataModule
from lightning_modules.hashing import HashEncoder, TimmBackbone, digest_of_hasher, load_encoder
from tests.conftest import Tiny


@pytest.fixture
def data(tiny: Tiny) -> ScenesDataModule:
    return tiny.open_data()


def change(tiny: Tiny, folder, edit) -> str:
    checkpoint = torch.load(tiny.hasher, weights_only=True)
    edit(checkpoint)
    path = folder / "changed.ckpt"
    torch.save(checkpoint, path)
    return str(path)


def test_a_good_checkpoint_gives_a_frozen_encoder(tiny: Tiny, data):
    encoder = load_encoder(str(tiny.hasher), data)
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_missing_file(data):
    with pytest.raises(ValueError, match=r"'nothing\.ckpt': no such file"):
        load_encoder("nothing.ckpt", data)


def test_file_that_is_no_checkpoint(data, tmp_path):
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(ValueError, match=r"text\.ckpt' is none of a HashingModule"):
        load_encoder(str(tmp_path / "text.ckpt"), data)


def test_checkpoint_of_another_module(data, tmp_path):
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.5.0"}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt' is none of a HashingModule"):
        load_encoder(str(tmp_path / "other.ckpt"), data)


def test_other_classes(tiny: Tiny, data, tmp_path):
    path = change(tiny, tmp_path, lambda c: c["retpur_training_facts"].update(class_names=["cat"]))
    with pytest.raises(ValueError, match=r"classes of 'scenes', the data set 'scenes' has 24 \(or another order\)"):
        load_encoder(path, data)


def test_nan_weights(tiny: Tiny, data, tmp_path):
    def poison(checkpoint):
        name = "encoders.image.hash_layer.weight"
        checkpoint["state_dict"][name][0, 0] = torch.nan

    with pytest.raises(ValueError, match=r"weight 'hash_layer\.weight' holds NaN"):
        load_encoder(change(tiny, tmp_path, poison), data)


def test_other_splits_are_warned_of(tiny: Tiny, data, tmp_path):
    path = change(tiny, tmp_path, lambda c: c["retpur_training_facts"].update(fingerprint="0" * 64))
    with pytest.warns(UserWarning, match="queries may be among its training items"):
        load_encoder(path, data)


def test_the_digest_of_a_hasher_sees_weights_and_options():
    def hasher(**options):
        torch.manual_seed(0)
        tiny_resnet = {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 4]}
        return HashEncoder(TimmBackbone("resnet18", model_args=tiny_resnet, **options), 8)

    reference = digest_of_hasher(hasher())
    assert digest_of_hasher(hasher()) == reference
    assert digest_of_hasher(hasher(input_size=64)) != reference  # no weight tells the two apart
    changed = hasher()
    with torch.no_grad():
        changed.hash_layer.bias[0] += 1
    assert digest_of_hasher(changed) != reference
