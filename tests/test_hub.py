"""Models saved, loaded and pushed in the manner of the Hub, with their cards."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from lightning_modules.attacks import ProSGAN
from lightning_modules.attacks.folder import AttackFacts, prefixed, save_folder
from lightning_modules.attacks.networks import ProSGANGenerator, PrototypeNet
from lightning_modules.hashing import HashEncoder, TextMLP, TimmBackbone
from lightning_modules.purification import DiffusionPurifier

SMALL = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}


def pictures(size=16):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def make_encoder():
    torch.manual_seed(0)
    backbone = TimmBackbone("resnet10t", normalize="imagenet", input_size=24, model_args=SMALL)
    return HashEncoder(backbone, 16, batch_norm=True).eval()


def make_attack(folder):
    torch.manual_seed(0)
    networks = {"prototype": PrototypeNet(3, 8), "generator": ProSGANGenerator(16, channels=4)}
    facts = AttackFacts("ProSGAN", 8, 3, 16, ("a", "b", "c"), "animals", "abc", {"channels": 4})
    save_folder(folder, facts, prefixed(networks))
    return ProSGAN(str(folder), eps=0.1)


class FakeApi:
    """What the mixin asks of the Hub, kept in a folder."""

    folder: Path

    def __init__(self, token=None):
        assert token == "secret"  # noqa: S105

    def create_repo(self, repo_id, private, exist_ok):
        assert (private, exist_ok) == (True, True)
        return type("Repository", (), {"repo_id": repo_id})

    def upload_folder(self, *, repo_id, folder_path, **kwargs):
        shutil.copytree(folder_path, type(self).folder / repo_id)
        return f"https://hub/{repo_id}"


def test_a_hashing_network_is_saved_and_loaded(tmp_path):
    encoder = make_encoder()
    encoder.save_pretrained(tmp_path / "hasher")
    assert sorted(path.name for path in (tmp_path / "hasher").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    loaded = HashEncoder.from_pretrained(tmp_path / "hasher")
    assert not loaded.training
    assert torch.equal(loaded(pictures()), encoder(pictures()))
    assert loaded.backbone.architecture == encoder.backbone.architecture


def test_a_text_encoder_keeps_the_width_of_its_texts(tmp_path):
    backbone = TextMLP([6])
    backbone.set_up(5)
    encoder = HashEncoder(backbone, 4).eval()
    encoder.save_pretrained(tmp_path)
    texts = torch.rand(3, 5)
    assert torch.equal(HashEncoder.from_pretrained(str(tmp_path))(texts), encoder(texts))


def test_an_attack_is_saved_and_loaded(tmp_path):
    attack = make_attack(tmp_path / "trained")
    attack.save_pretrained(tmp_path / "saved")
    loaded = ProSGAN.from_pretrained(tmp_path / "saved", eps=0.1)
    assert (loaded.facts, loaded.fingerprint()) == (attack.facts, attack.fingerprint())
    attack.save_pretrained(tmp_path / "trained")  # where it came from
    assert ProSGAN.from_pretrained(tmp_path / "trained", eps=0.1).fingerprint() == attack.fingerprint()


def test_a_purifier_is_saved_with_its_options_and_stays_a_diffusers_folder(tiny, tmp_path):
    purifier = DiffusionPurifier(str(tiny.ddpm), purify_steps=3, metric="mse", respacing=500, batch_size=2)
    purifier.save_pretrained(tmp_path)
    assert not list(tmp_path.rglob("*.bin"))
    loaded = DiffusionPurifier.from_pretrained(tmp_path)
    assert (loaded.purify_steps, loaded.spec["init_args"]["batch_size"]) == (3, 64)
    assert loaded.fingerprint() == purifier.fingerprint()
    assert torch.equal(loaded(pictures()), purifier(pictures()))
    assert DiffusionPurifier.from_pretrained(str(tmp_path), purify_steps=4).purify_steps == 4
    assert DiffusionPurifier(str(tmp_path)).purify_steps == 45  # the DDPM alone
    (tmp_path / "purifier.json").write_text("[]")
    with pytest.raises(ValueError, match=r"purifier\.json: expected the options"):
        DiffusionPurifier.from_pretrained(str(tmp_path))


def test_a_purifier_of_a_revision_is_downloaded_as_a_whole(tiny, tmp_path, monkeypatch):
    DiffusionPurifier(str(tiny.ddpm), purify_steps=3).save_pretrained(tmp_path)
    asked = []

    def download(name, **options):
        asked.append((name, options))
        return str(tmp_path)

    monkeypatch.setattr("lightning_modules.hub.snapshot_download", download)
    given = {"revision": "v1", "token": "secret", "cache_dir": "elsewhere", "local_files_only": True}
    assert DiffusionPurifier.from_pretrained("me/purifier", n_paths=2, **given).purify_steps == 3
    ((name, options),) = asked
    assert name == "me/purifier"
    assert given.items() <= options.items()


def test_a_mistyped_path_is_neither_folder_nor_hub_id(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere/x': no such folder, and no Hub id, which is user/name"):
        HashEncoder.from_pretrained(tmp_path / "nowhere/x")


def test_what_is_pushed_is_what_is_loaded_and_the_card_tells_what_it_is(tmp_path, monkeypatch):
    FakeApi.folder = tmp_path
    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", FakeApi)
    encoder = make_encoder()
    told = {"method": "DPSH", "dataset": "cifar10", "figures": {"MAP": 0.81}, "license": "cc-by-4.0"}
    address = encoder.push_to_hub("me/hasher", private=True, token="secret", model_card_kwargs=told)  # noqa: S106
    assert address == "https://hub/me/hasher"
    card = ModelCard.load(tmp_path / "me/hasher/README.md")
    assert (card.data.license, card.data.library_name) == ("cc-by-4.0", "retpur")
    assert "HashEncoder" in card.data.tags
    for row in (
        "| method | DPSH |",
        "| data set | cifar10 |",
        "| bits | 16 |",
        "| MAP | 0.81 |",
        "| backbone | resnet10t |",
    ):
        assert row in card.text
    downloads = []

    def download(name, **kwargs):
        downloads.append((name, kwargs["revision"], kwargs["allow_patterns"]))
        return str(tmp_path / name)

    monkeypatch.setattr("lightning_modules.hub.snapshot_download", download)
    monkeypatch.chdir(tmp_path.parent)
    loaded = HashEncoder.from_pretrained("me/hasher", revision="v1")
    assert torch.equal(loaded(pictures()), encoder(pictures()))
    assert downloads == [("me/hasher", "v1", ["*.json", "*.safetensors", "README.md"])]


def test_the_card_of_an_attack_knows_method_and_data(tmp_path):
    text = make_attack(tmp_path).generate_model_card().text
    assert all(row in text for row in ("| method | ProSGAN |", "| data set | animals |", "| license | apache-2.0 |"))


def spoil_backbone(folder):
    config = json.loads((folder / "config.json").read_text())
    config["backbone"]["class_path"] = "subprocess.Popen"
    (folder / "config.json").write_text(json.dumps(config))


def spoil_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights["hash_layer.bias"][0] = torch.nan
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "of a hashing network are expected"),
        (lambda folder: (folder / "config.json").write_text("{}"), "KeyError"),
        (lambda folder: (folder / "config.json").write_text("{"), "JSONDecodeError"),
        (spoil_backbone, "is not a Backbone"),
        (spoil_weight, "weight 'hash_layer.bias' holds NaN"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, spoil, message):
    make_encoder().save_pretrained(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        HashEncoder.from_pretrained(tmp_path)
