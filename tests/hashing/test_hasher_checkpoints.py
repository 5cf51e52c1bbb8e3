"""What is wrong with a hasher is said before any work."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from datamodules import ScenesDataModule
from lightning_modules.hashing import HashEncoder, TextMLP, TimmBackbone, digest_of_encoder, load_encoder, load_hasher
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


@pytest.mark.parametrize("source", ["folder", "Hub"])
def test_a_saved_encoder_is_a_hasher_too(source, tiny: Tiny, data, tmp_path, monkeypatch):
    trained, name = load_encoder(str(tiny.hasher), data), str(tmp_path)
    trained.save_pretrained(tmp_path)
    if source == "Hub":
        name, downloads = "user/hasher", []
        monkeypatch.setattr(
            "lightning_modules.hub.snapshot_download", lambda name, **options: downloads.append(name) or str(tmp_path)
        )
    with pytest.warns(UserWarning, match=f"hasher '{name}' does not tell what it was trained on"):
        network = load_hasher(name, data)
    assert source == "folder" or downloads == ["user/hasher"]
    assert (network.text_encoder, network.training, network.num_bits) == (None, False, 8)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    # Stored stages are found again.
    assert digest_of_encoder(network.image_encoder) == digest_of_encoder(trained)
    images = torch.rand(3, 3, 16, 16)
    assert torch.equal(network.image_encoder(images), trained(images))


def test_what_is_neither_here_nor_on_the_hub_is_told_with_both_readings(data, monkeypatch):
    def fails(name, **options):
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr("lightning_modules.hub.snapshot_download", fails)
    message = (
        r"'user/hasher': there is no such file or folder here \(train\.py fit .* Hub \(LocalEntry.*: no connection\)"
    )
    with pytest.raises(ValueError, match=message):
        load_hasher("user/hasher", data)
    for name in ("runs/last.ckpt", "runs/dpsh/checkpoints"):
        with pytest.raises(ValueError, match=f"'{name}': no such file; .*and no Hub id"):
            load_hasher(name, data)


def test_an_encoder_of_texts_is_refused(data, tmp_path):
    backbone = TextMLP([4])
    backbone.set_up(5)
    HashEncoder(backbone, 8).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is an encoder of texts; expected one of images"):
        load_hasher(str(tmp_path), data)


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

    reference = digest_of_encoder(hasher())
    assert digest_of_encoder(hasher()) == reference
    assert digest_of_encoder(hasher(input_size=64)) != reference  # no weight tells the two apart
    changed = hasher()
    with torch.no_grad():
        changed.hash_layer.bias[0] += 1
    assert digest_of_encoder(changed) != reference
