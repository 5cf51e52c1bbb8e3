"""Each benchmark by the command lines: from tiny copies of its original files to a scored cell."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

import evaluate
import train
from datamodules import commands
from datamodules.nuswide import BY_FREQUENCY
from tests.conftest import CONF, CONFIGS
from tests.datamodules.layouts import test_coco, test_iapr, test_mirflickr, test_nus, test_wikipedia


def encode(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def nus(root):
    test_nus._write_lists(root)
    for concept in BY_FREQUENCY:  # the lists above have the concepts of their own tests only
        labels = root / f"Groundtruth/AllLabels/Labels_{concept}.txt"
        if not labels.exists():
            labels.write_text("0\n" * len(test_nus.ROWS))
    test_nus._write_pictures(root, encode, test_nus._tree)


def wikipedia(root):
    root.mkdir()
    test_wikipedia._write(root, encode)


def news(root):
    """Wikipedia's file layout with plain texts and categories of one's own."""
    wikipedia(root)
    (root / "categories.list").write_text("\n".join(test_wikipedia.CATEGORIES))
    for text in (root / "texts").glob("*.xml"):
        text.rename(text.with_name(f"{text.name.removesuffix('.xml')}.txt"))


def iapr(root):
    for image, (place, description) in test_iapr.CAPTIONS.items():
        text = root / f"annotations_complete_eng/{place}/{image}.eng"
        picture = root / f"images/{place}/{image}.jpg"
        for path in (text, picture):
            path.parent.mkdir(parents=True, exist_ok=True)
        text.write_bytes(b"<DOC>\n<DESCRIPTION>%s</DESCRIPTION>\n</DOC>\n" % description)
        picture.write_bytes(encode(Image.new("RGB", (8, 5), test_iapr._colour(image)), "JPEG"))
    for place, lines in test_iapr.LABELS.items():
        path = root / f"benchmark/saiapr_tc-12/{place}/labels.txt"
        path.parent.mkdir(parents=True)
        path.write_bytes(lines.encode())


CASES = {
    "flickr25k/uni": test_mirflickr.folder,
    "flickr25k/cross": test_mirflickr.archives,
    "mscoco/uni": test_coco.folder,
    "mscoco/cross": test_coco.archives,
    "nuswide/uni": nus,
    "nuswide/cross": nus,
    "wikipedia/cross": wikipedia,
    "wikipedia-folder/cross": news,
    "iaprtc12/cross": iapr,
}
PUBLISHED = ("wikipedia/cross", "wikipedia-folder/cross")


@pytest.fixture(params=CASES)
def case(request, tmp_path, monkeypatch):
    """Write the files; return the config and the options that make the experiment tiny."""
    name, _, protocol = request.param.partition("/")
    root = tmp_path / name
    CASES[request.param](root)
    monkeypatch.chdir(tmp_path)
    spare = int(name != "iaprtc12")  # three items only
    sizes = {} if request.param in PUBLISHED else {"query": 1, "train": 2, "val": spare}
    options = {
        "root": str(root),
        "protocol": protocol,
        "pixels": {"size": 32, "resize_to": 36},
        "splits": sizes,
        "loader": {"batch_size": 2},
        "cache_dir": str(tmp_path / "cache"),
    }
    return CONFIGS / "data" / f"{name}.yaml", options


def write(folder: Path, name: str, document: object) -> Path:
    (folder / name).write_text(yaml.safe_dump(document))
    return folder / name


@pytest.mark.filterwarnings("ignore::UserWarning")  # the copies have fewer items than the protocol says
def test_prepare_inspect_fit_and_evaluate(case, tmp_path, capsys):
    config, options = case
    tiny = write(tmp_path, "tiny.yaml", {"data": {"init_args": options}})
    files = ["--config", str(config), "--config", str(tiny)]
    assert commands.main(["prepare", *files]) == 0
    assert "fingerprint" in capsys.readouterr().out
    assert commands.main(["inspect", *files, "--output", str(tmp_path / "page.html")]) == 0
    assert "<html" in (tmp_path / "page.html").read_text()[:200]

    fit = ["fit", "--config", str(CONFIGS / "trainer/default.yaml"), *files, "--config", str(CONF / "tiny-hasher.yaml")]
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
    train.main([*fit, *quiet, "--trainer.max_steps=1", "--trainer.logger.init_args.save_dir=hasher"])

    plan = {
        "name": "tiny",
        "output": "evaluation",
        "datasets": {"it": {"include": f"{config}#data", "init_args": options}},
        "hashers": {"DPSH": {"dataset": "it", "checkpoint": "hasher/checkpoints/last.ckpt"}},
        "defences": {"blur": {"class_path": "lightning_modules.defences.GaussianBlur"}},
        "targets": {"pool": "unique"},
    }
    arguments = ["--config", str(write(tmp_path, "plan.yaml", plan)), "--trainer.accelerator", "cpu"]
    assert evaluate.main(arguments) == 0
    rows = json.loads((tmp_path / "evaluation/results.json").read_text())
    assert [row["defence"] for row in rows] == ["none", "blur"]
    assert all(row["num_queries"] >= 1 and 0 <= row["map"] <= 1 for row in rows)
