"""The folder command as its users call it, on twenty mixed pictures."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import train
from lightning_modules.defences import GaussianBlur
from lightning_modules.hashing import HashingModule
from lightning_modules.purification import DiffusionPurifier, FolderPurification, folder
from lightning_modules.purification.tiles import Blend
from lightning_modules.types import Picture
from tests.conftest import CONFIGS, Tiny

MODES = {
    "grey.png": "L",
    "ink.jpg": "CMYK",
    "clear.png": "RGBA",
    "deep.png": "I;16",
    "palette.gif": "P",
    "bit.png": "1",
}
SIZES = {"tiny.png": (17, 17), "wide.jpg": (4000, 20), "tall.png": (30, 150), "dot.png": (1, 1), "more/a.png": (40, 33)}
SAME = [f"more/{number}.jpg" for number in range(8)]


def pixels(width, height, seed):
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 255, (4, 4, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Twenty files: all modes, sizes from 1 to 4,000 px, and one that is broken."""
    root = tmp_path_factory.mktemp("album")
    (root / "more").mkdir()
    for seed, name in enumerate([*MODES, *SIZES, *SAME]):
        picture = pixels(*SIZES.get(name, (48, 40)), seed)
        if MODES.get(name) == "I;16":
            picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
        elif name in MODES:
            picture = picture.convert(MODES[name])
        picture.save(root / name)
    (root / "broken.jpg").write_bytes((root / "wide.jpg").read_bytes()[:300])
    assert len([path for path in root.rglob("*") if path.is_file()]) == 20
    return root


def clean(tiny: Tiny, album, out, *extra: str):
    args = ["predict", "--config", str(CONFIGS / "purification/folder.yaml"), "--data.root", str(album)]
    args += ["--out", str(out), "--model.defence.model", str(tiny.ddpm), "--model.defence.purify_steps=2"]
    args += ["--model.tile=64", "--trainer.accelerator=cpu", *extra]
    with pytest.raises(SystemExit) as ended:
        train.main(args)
    return str(ended.value)


@pytest.fixture(scope="module")
def cleaned(tiny: Tiny, album, tmp_path_factory):
    out = tmp_path_factory.mktemp("cleaned")
    return out, clean(tiny, album, out, f"--model.hasher={tiny.hasher}", "--model.hasher_size=16")


def results(out):
    return {path.relative_to(out).as_posix(): path for path in out.rglob("*.png")}


def test_all_pictures_are_cleaned_but_the_broken_one(album, cleaned):
    out, message = cleaned
    assert message.startswith("1 skipped:\n")
    assert f"{album / 'broken.jpg'}: not a readable picture" in message
    found = results(out)
    assert len(found) == 19
    sizes = {name.rpartition(".")[0] + ".png": (48, 40) for name in (*MODES, *SAME)}
    sizes |= {name.rpartition(".")[0] + ".png": size for name, size in SIZES.items()}
    for name, size in sizes.items():
        with Image.open(found[name]) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", size)
    assert not list(out.rglob("*.partial"))


def test_the_result_is_the_purified_picture(tiny: Tiny, album, cleaned):
    """A picture of one tile against the purifier called by hand."""
    with Image.open(album / "more/a.png") as picture:
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
    padded = torch.nn.functional.pad(image[None], (0, 24, 0, 31), mode="reflect")
    purifier = DiffusionPurifier(str(tiny.ddpm), purify_steps=2)
    expected = purifier(padded, ["more/a.png"])[0, :, :33, :40]
    with Image.open(cleaned[0] / "more/a.png") as picture:
        found = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert (found - expected * 255).abs().max() <= 0.51


def test_work_is_announced_and_leaves_results_only(tiny: Tiny, album, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clean(tiny, album, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    shown = capsys.readouterr().out
    assert "19 of 20 pictures to clean" in shown
    assert "GiB of memory" in shown
    assert "19 pictures cleaned, 1 skipped" in shown


def test_a_killed_run_goes_on_and_batches_do_not_matter(tiny: Tiny, album, cleaned, tmp_path):
    first = results(cleaned[0])
    clean(tiny, album, tmp_path)
    found = results(tmp_path)
    for name in ("more/3.png", "wide.png", "grey.png"):
        found[name].unlink()
    kept = {name: path.stat().st_mtime_ns for name, path in found.items() if path.exists()}
    clean(tiny, album, tmp_path, "--model.batch_size=3", "--data.group=2")
    for name, path in results(tmp_path).items():
        assert name not in kept or path.stat().st_mtime_ns == kept[name]
        with Image.open(path) as ours, Image.open(first[name]) as theirs:
            assert np.abs(np.asarray(ours, int) - np.asarray(theirs, int)).max() <= 1


def test_codes_are_those_of_the_results(tiny: Tiny, cleaned):
    table = pq.read_table(cleaned[0] / "codes.parquet").to_pydict()
    assert table["id"] == sorted(results(cleaned[0]))
    encoder = HashingModule.load_from_checkpoint(tiny.hasher, weights_only=True)
    with Image.open(cleaned[0] / "tiny.png") as picture:
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    shrunk = torch.nn.functional.interpolate(
        image[None].float() / 255, size=16, mode="bilinear", antialias=True, align_corners=False
    )
    code = table["code"][table["id"].index("tiny.png")]
    assert np.mean(np.array(code) == encoder.encode(shrunk)[0].numpy()) >= 7 / 8  # resized in 8 bit there
    assert set(np.unique(table["code"])) <= {-1, 1}


def test_one_canvas_per_picture(tmp_path, monkeypatch):
    """A canvas is as large as its picture: one per tile would cost more than the purification."""
    made = []
    monkeypatch.setattr(folder, "Blend", lambda *args: made.append(args) or Blend(*args))
    module = FolderPurification(GaussianBlur(), str(tmp_path), tile=64)
    images = [torch.full((3, 150, 90 + number), 77, dtype=torch.uint8) for number in range(2)]
    module.setup("predict")
    module.predict_step([Picture(str(n), image, f"{n}.png") for n, image in enumerate(images)], 0)
    assert [args[1:] for args in made] == [(150, 90), (150, 91)]
    with Image.open(tmp_path / "1.png") as picture:
        assert picture.size == (91, 150)
        assert picture.getextrema() == ((77, 77),) * 3


def test_results_of_other_options_are_not_mixed(tiny: Tiny, cleaned):
    module = FolderPurification(DiffusionPurifier(str(tiny.ddpm), purify_steps=3), str(cleaned[0]), 64)
    with pytest.raises(ValueError, match="holds pictures cleaned with other options"):
        module.setup("predict")
    record = json.loads((cleaned[0] / "purification.json").read_text())
    assert record["tile"] == 64


def test_what_is_wrong_is_said_before_work(tmp_path):
    with pytest.raises(ValueError, match="expected the folder that the cleaned pictures are written to"):
        FolderPurification(GaussianBlur()).setup("predict")
    with pytest.raises(ValueError, match="it cannot fit"):
        FolderPurification(GaussianBlur(), str(tmp_path)).setup("fit")
    with pytest.raises(ValueError, match="batch_size=0: expected at least 1"):
        FolderPurification(GaussianBlur(), str(tmp_path), batch_size=0)
    with pytest.raises(ValueError, match=r"none\.ckpt.*no such file"):
        FolderPurification(GaussianBlur(), str(tmp_path), hasher="none.ckpt").setup("predict")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written"):
        FolderPurification(GaussianBlur(), str(tmp_path / "file/below")).setup("predict")
