"""``python -m datamodules``: the configuration of a training serves, errors are one message, the status tells."""

from __future__ import annotations

import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import yaml

from datamodules.commands import main
from datamodules.source import DataError
from tests.datamodules.tinyset import ListLayout, write_tiny

CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture
def tiny(tmp_path):
    """The configuration of the tiny set, as for a training, and the arguments that name it."""
    write_tiny(tmp_path / "set")
    options = {
        "root": str(tmp_path / "set"),
        "cache_dir": str(tmp_path / "cache"),
        "splits": {"query": None, "train": None, "val": 2},
    }
    config = {"data": {"class_path": "tests.datamodules.tinyset.TinyDataModule", "init_args": options}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    return ["--config", str(tmp_path / "tiny.yaml")]


def lines_of(text, word):
    return [line for line in text.splitlines() if word in line]


def test_prepare_takes_the_configuration_of_a_training(tmp_path, capsys):
    arguments = ["prepare", "--config", str(CONF / "tiny-data.yaml"), "--data.init_args.cache_dir", str(tmp_path)]
    assert main([*arguments, "--data.num_images=21", "--data.splits.val=4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("scenes: 28 items, 24 classes\n")
    assert lines_of(out, "database")[0].split() == ["database", "21", "-"]
    assert lines_of(out, "  val ")[0].split() == ["val", "4", "-"]
    (manifest,) = (tmp_path / "manifests").iterdir()
    assert lines_of(out, "manifest")[0].split() == ["manifest", str(manifest)]


def test_prepare_prints_what_the_set_is(tiny, tmp_path, capsys):
    assert main(["prepare", *tiny]) == 0
    out = capsys.readouterr().out
    for text in ("list.txt with pictures beside it", "three annotators", "retpur-v1", "tiny/uni (A. Author, 2020)"):
        assert text in out
    (catalogue,) = (tmp_path / "cache/catalogues").iterdir()
    assert str(catalogue) in out
    assert "note: 1 item without a label" in out
    assert "im5" in out


def test_number_of_items_is_warned_of_once_and_every_time(tiny, tmp_path, capsys):
    lines = (tmp_path / "set/list.txt").read_text().splitlines()
    (tmp_path / "set/list.txt").write_text("\n".join(lines[:13]))
    for _ in range(2):
        assert main(["prepare", *tiny]) == 0
        (warning,) = lines_of(capsys.readouterr().out, "13 items, the protocol")
        assert warning.startswith("warning: ")
        assert warning.endswith("tiny/uni has 14 (A. Author, 2020)")


def test_missing_pictures_end_in_one_error(tiny, tmp_path, capsys):
    (tmp_path / "set/im3.jpg").unlink()
    (tmp_path / "set/im8.jpg").unlink()
    assert main(["prepare", *tiny]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    first, *rest = captured.err.splitlines()
    assert first.startswith("error: ")
    assert "2 of 14 pictures are missing" in first
    assert rest == ["  im3.jpg", "  im8.jpg"]


def test_missing_pictures_may_be_left_out(tiny, tmp_path, capsys):
    (tmp_path / "set/im3.jpg").unlink()
    assert main(["prepare", *tiny, "--data.missing=skip"]) == 0
    assert "warning: 1 picture missing and left out: im3.jpg" in capsys.readouterr().out


def test_warnings_on_the_way_to_an_error_are_printed(tiny, tmp_path, capsys):
    lines = (tmp_path / "set/list.txt").read_text().splitlines()
    (tmp_path / "set/list.txt").write_text("\n".join(lines[:13]))
    assert main(["prepare", *tiny, "--data.splits.query=99"]) == 1
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: ")
    assert "13 items" in warning
    assert error == "error: splits.query=99, but only 13 items are available for 'query'"


def test_rebuild_parses_again(tiny, monkeypatch):
    monkeypatch.setattr(ListLayout, "reads", 0)
    for extra, reads in (([], 1), ([], 1), (["--rebuild"], 2)):
        assert main(["prepare", *tiny, *extra]) == 0
        assert ListLayout.reads == reads


def test_failed_rebuild_keeps_the_catalogue(tiny, tmp_path, monkeypatch, capsys):
    assert main(["prepare", *tiny]) == 0

    def fail(self, root, protocol):
        raise DataError("list.txt line 3: no label")

    monkeypatch.setattr(ListLayout, "read", fail)
    assert main(["prepare", *tiny, "--rebuild"]) == 1
    assert capsys.readouterr().err == "error: list.txt line 3: no label\n"
    assert main(["prepare", *tiny]) == 0


def test_check_pictures_finds_broken_and_renamed_ones(tiny, tmp_path, capsys, encode):
    assert main(["prepare", *tiny]) == 0
    assert "unreadable" not in capsys.readouterr().out
    set_up = Path(tmp_path / "set")
    (set_up / "im11.jpg").write_bytes((set_up / "im11.jpg").read_bytes()[:-30])
    (set_up / "im12.jpg").write_bytes(encode(np.full((17, 11, 3), 120, np.uint8)))
    assert main(["prepare", *tiny, "--check-pictures"]) == 1
    out = capsys.readouterr().out
    assert "error: 1 of 14 pictures unreadable:\n" in out
    assert "im11.jpg" in out
    assert "im12.jpg (PNG)" in out


def test_rebuild_checks_all_pictures_again(tiny, tmp_path, capsys):
    assert main(["prepare", *tiny, "--check-pictures"]) == 0
    (tmp_path / "set/im11.jpg").write_bytes(b"damaged later")
    assert main(["prepare", *tiny, "--check-pictures", "--rebuild"]) == 1
    assert "im11.jpg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--data.pixels.size=0", "pixels.size=0: expected at least 1 pixel"),
        ("--data.protocol=cross", "protocol='cross': tiny has uni"),
        ("--data.splits.val_database=0", "splits.val_database=0: expected at least 1 item"),
    ],
)
def test_bad_option_is_one_line(tiny, option, message, capsys):
    assert main(["prepare", *tiny, option]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("arguments", [["prepare"], ["prepare", "--data=datamodules.FolderDataModule"], ["show"], []])
def test_wrong_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_errors_steer_no_terminal(tiny, tmp_path, capsys):
    (tmp_path / "set/list.txt").write_text("im\x1b[2J.jpg|1 0 0|text\n")
    assert main(["prepare", *tiny]) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_inspect_writes_the_page_and_prints_the_rest(tiny, tmp_path, capsys):
    pages = [tmp_path / "new/one.html", tmp_path / "two.html"]
    for page in pages:
        assert main(["inspect", *tiny, "--output", str(page)]) == 0
        out = capsys.readouterr().out
        assert out.startswith("tiny: 14 items, 3 classes\n")
        assert out.splitlines()[-1] == str(page)
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert pages[0].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_inspect_says_where_it_cannot_write(tiny, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["inspect", *tiny, "--output", str(tmp_path / "file/page.html")]) == 1
    assert "file/page.html: the page cannot be written" in capsys.readouterr().err


@pytest.fixture
def conversions(monkeypatch):
    """What the converter is called with, in place of converting."""
    calls = []

    def convert(source, target, *, scale=None, transpose=None):
        calls.append((source, target, scale, transpose))
        if "bad" in source.name:
            raise DataError(f"{source}: no pixels")

    module = types.ModuleType("datamodules.convert")
    module.convert = convert
    monkeypatch.setitem(sys.modules, "datamodules.convert", module)
    return calls


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], (Path("a/IAll.npy"), None, None)),
        (["--target", "b/x.npy"], (Path("b/x.npy"), None, None)),
        (["--scale", "255", "--transpose", "true"], (Path("a/IAll.npy"), 255.0, True)),
        (["--scale=1", "--transpose=false"], (Path("a/IAll.npy"), 1.0, False)),
        (["--transpose", "auto"], (Path("a/IAll.npy"), None, None)),
    ],
)
def test_convert_hands_its_options_on(options, expected, conversions, capsys):
    assert main(["convert", "a/IAll.mat", *options]) == 0
    assert conversions == [(Path("a/IAll.mat"), *expected)]
    assert isinstance(conversions[0][3], bool | None)
    assert capsys.readouterr().out == f"{expected[0]}\n"


def test_convert_ends_in_one_error(conversions, capsys):
    assert main(["convert", "bad.mat"]) == 1
    assert capsys.readouterr().err == "error: bad.mat: no pixels\n"


@pytest.mark.parametrize("option", ["--scale=3", "--transpose=maybe"])
def test_convert_refuses_other_options(option, conversions, capsys):
    with pytest.raises(SystemExit):
        main(["convert", "a.mat", option])
    assert option.partition("=")[0].strip("-") in capsys.readouterr().err
    assert conversions == []


def test_package_runs_as_a_program(tiny, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["datamodules", "prepare", *tiny])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_module("datamodules", run_name="__main__")
    assert exit_info.value.code == 0
    assert "tiny: 14 items" in capsys.readouterr().out
