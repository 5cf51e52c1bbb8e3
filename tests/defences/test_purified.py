"""Purify, encode, search: the module, its exported encoder, and the lines that the README shows."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_modules.defences import Defence, PurifiedEncoder
from lightning_modules.hashing import HashEncoder, HashingModule, TimmBackbone
from lightning_modules.purification import DiffusionPurifier
from lightning_modules.randomness import SampleNoise
from lightning_modules.retrieval.indexes import ScanIndex

README = Path(__file__).parents[2] / "README.md"


class Jitter(Defence):
    """Adds noise of the sample and the draw."""

    def __init__(self, n_paths=1):
        super().__init__()
        self.n_paths = n_paths

    def forward(self, images, ids=None, draw=0):
        return (images + 0.2 * SampleNoise(0, f"jitter/{draw}", ids)(images)).clamp(0, 1)


class Projection(nn.Module):
    """Five directions of the pixels, no more than a system's own network would offer."""

    def __init__(self):
        super().__init__()
        self.directions = torch.randn(3 * 8 * 8, 5, generator=torch.Generator().manual_seed(1))

    def forward(self, images):
        return (images.flatten(1) - 0.5) @ self.directions


def pictures(count=4, size=8):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n_paths", [1, 3])
def test_the_code_is_the_vote_over_paths_of_rounded_images(n_paths):
    images, ids = pictures(), ["a", "b", "c", "d"]
    found = PurifiedEncoder(Jitter(n_paths), Projection())(images, ids)
    for row, name in enumerate(ids):
        sums = torch.zeros(5)
        for draw in range(n_paths):
            noisy = images[row] + 0.2 * SampleNoise(0, f"jitter/{draw}", [name])(images[row][None])[0]
            sums += Projection()((noisy.clamp(0, 1).mul(255).round() / 255)[None])[0]
        assert found[row].tolist() == [1 if value >= 0 else -1 for value in sums.tolist()]
    assert found.dtype == torch.int8


def test_images_are_checked_and_nothing_is_trained():
    purified = PurifiedEncoder(Jitter(), nn.Sequential(nn.Dropout(), Projection())).train()
    assert not any(module.training for module in purified.modules())
    with pytest.raises(ValueError, match="normalisation is the encoder's"):
        purified(pictures() * 255)


def test_bytes_are_images_too():
    purified, images = PurifiedEncoder(Jitter(), Projection()), pictures().mul(255).to(torch.uint8)
    assert torch.equal(purified(images, "abcd"), purified(images.float() / 255, "abcd"))


def test_the_encoder_is_exported_saved_and_loaded_for_any_batch(tmp_path):
    torch.manual_seed(0)
    args = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
    backbone = TimmBackbone("resnet10t", normalize="imagenet", input_size=24, model_args=args)
    purified = PurifiedEncoder(Jitter(), HashEncoder(backbone, 16, batch_norm=True))
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(purified.encoder, (pictures(2, 16),), dynamic_shapes=dynamic)
    torch.export.save(program, tmp_path / "encoder.pt2")
    loaded = torch.export.load(tmp_path / "encoder.pt2").module()
    for count in (2, 5):
        images = pictures(count, 16)
        torch.testing.assert_close(loaded(images), purified.encoder(images))


def test_the_readme_shows_what_runs(tiny, tmp_path, monkeypatch):
    block = next(
        part for part in re.findall(r"```python\n(.*?)```", README.read_text(), re.S) if "PurifiedEncoder" in part
    )
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) <= 12
    encoder, data = HashingModule.load_from_checkpoint(tiny.hasher).image_encoder, tiny.open_data()
    batch = next(iter(data.test_dataloader()[0])).to("cpu")
    purifier = DiffusionPurifier.from_pretrained(str(tiny.ddpm), purify_steps=2, metric="mse")
    codes = PurifiedEncoder(purifier, encoder)(batch.image)
    index = ScanIndex(8)
    index.add(codes, batch.ids)
    index.save(tmp_path / "exported/images/codes.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DiffusionPurifier, "from_pretrained", lambda name: purifier)
    names = {"encoder": encoder, "images": batch.image}
    exec(block, names)  # noqa: S102
    hits = names["search"](batch.image, 1)
    assert hits.distances.tolist() == [[0]] * len(batch)
