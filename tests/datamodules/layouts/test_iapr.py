"""IAPR TC-12 with SAIAPR labels: captions in Latin-1, region labels with gaps, images that only one side knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import DataError, Pixels, SplitSizes
from datamodules.iaprtc12 import IAPRTC12
from datamodules.layouts.iapr import IAPRLayout, _read_captions, _read_labels

PROTOCOL = IAPRTC12.protocols["cross"]
# Image: folder, DESCRIPTION as bytes. 0xE9 is an accent, cp1252 has no 0x81.
CAPTIONS = {
    25: ("00", b"a caf\xe9;\r\n two trees;"),
    9: ("00", b"a \x81 sign;"),
    100: ("01", b"a square; & <b>a tower</b>;"),
    1003: ("01", b"a lake;"),  # no label
    1010: ("01", b"  "),  # no sentence
}
LABELS = {
    "00": "25 1 104\n25 2 276\n25 3 104\n9 1 7\n9 2\n\n",
    "01": "100 1 276\r\n1010 1 7\r\n1020 1 104",  # 1020 has no caption
}
IDS = ("9", "25", "100")
SENTENCES = [("a \x81 sign;",), ("a café; two trees;",), ("a square; & <b>a tower</b>;",)]
EXPECTED = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=np.uint8)  # label ids 7, 104, 276


def _colour(image):
    return (image % 200 + 20, 255 - image % 200, 90)


@pytest.fixture
def root(tmp_path, encode):
    folder = tmp_path / "iapr"
    for image, (place, description) in CAPTIONS.items():
        document = (
            b"<DOC>\n<DOCNO>annotations/%s/%d.eng</DOCNO>\n<TITLE>Square</TITLE>\n<DESCRIPTION>%s</DESCRIPTION>\n"
            b"<NOTES>a note</NOTES>\n<LOCATION>Qu\xe9bec</LOCATION>\n</DOC>\n"
        )
        for name, data in {
            f"annotations_complete_eng/{place}/{image}.eng": document % (place.encode(), image, description),
            f"images/{place}/{image}.jpg": encode(Image.new("RGB", (8, 5), _colour(image)), "JPEG", quality=95),
        }.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    for place, lines in LABELS.items():
        path = folder / f"benchmark/saiapr_tc-12/{place}/labels.txt"
        path.parent.mkdir(parents=True)
        path.write_bytes(lines.encode())
    return folder


def _read(root):
    return IAPRLayout().read(root, PROTOCOL)


def _refused(root):
    with pytest.raises(DataError) as caught:
        _read(root)
    return str(caught.value)


def test_items_have_a_label_and_a_caption(root):
    catalogue = _read(root)
    assert catalogue.name == "iaprtc12"
    assert catalogue.ids == IDS
    np.testing.assert_array_equal(catalogue.labels, EXPECTED)
    assert catalogue.class_names == ("label-7", "label-104", "label-276")
    assert catalogue.paths == ("images/00/9.jpg", "images/00/25.jpg", "images/01/100.jpg")
    assert [PROTOCOL.item_id(path) for path in catalogue.paths] == list(IDS)


def test_the_sentence_is_the_description(root):
    catalogue = _read(root)
    assert catalogue.sentences == SENTENCES
    assert catalogue.tags is None


def test_what_was_left_out_is_said(root):
    facts = _read(root).facts
    assert facts["label_source"] == "regions of SAIAPR TC-12"
    assert facts["class_names"] == "3 label ids (255 expected), names: none, by label id"
    assert facts["notes"] == (
        "images left out: 2 with labels only, 1 with a caption only; lines of labels.txt without a label: 1"
    )


@pytest.mark.parametrize("place", ["wlist.txt", "matlab/WordList.txt", "saiapr_tc-12/word_list.txt"])
def test_class_names_of_a_word_list(root, place):
    path = root / "benchmark" / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"label id and word\r\n7\tair vehicle\r\n 104 \xe1rbol\r\n5 unused\r\n276 tree\r\n")
    catalogue = _read(root)
    assert catalogue.class_names == ("air vehicle", "árbol", "tree")
    assert catalogue.facts["class_names"].endswith(path.name)
    np.testing.assert_array_equal(catalogue.labels, EXPECTED)


@pytest.mark.parametrize("words", ["7 air\n276 tree\n", "7 air\n104 tree\n276 tree\n", ""])
def test_a_word_list_that_does_not_fit_is_not_used(root, words):
    (root / "benchmark/wlist.txt").write_text(words)
    assert _read(root).class_names == ("label-7", "label-104", "label-276")


def test_through_the_data_module(root, tmp_path):
    splits = SplitSizes(query=1, train=1, val=1)
    module = IAPRTC12(str(root), cache_dir=str(tmp_path / "cache"), splits=splits, pixels=Pixels(4))
    with pytest.warns(UserWarning, match="3 items, the protocol iaprtc12/cross has 20000"):
        module.prepare_data()
    module.setup()
    assert module.class_names == ("label-7", "label-104", "label-276")
    np.testing.assert_array_equal(module.source.labels, EXPECTED)
    for row, image in enumerate(IDS):
        seen = module.source.image(row)
        assert seen.shape == (3, 5, 8)
        assert max(abs(a - b) for a, b in zip(seen[:, 2, 4].tolist(), _colour(int(image)), strict=True)) < 4
        assert module.source.sentences(row) == SENTENCES[row]
        assert module.source.caption(row) == SENTENCES[row][0]


def test_pictures_of_saiapr_serve_without_images(root):
    for place in ("00", "01"):
        (root / "images" / place).rename(root / f"benchmark/saiapr_tc-12/{place}/images")
    (root / "images").rmdir()
    catalogue = _read(root)
    assert catalogue.paths[2] == "benchmark/saiapr_tc-12/01/images/100.jpg"
    assert all((root / path).is_file() for path in catalogue.paths)


def test_archives_side_by_side(root):
    (root / "iaprtc12").mkdir()
    for name in ("images", "annotations_complete_eng"):
        (root / name).rename(root / "iaprtc12" / name)
    (root / "benchmark/saiapr_tc-12").rename(root / "saiapr_tc-12")
    assert IAPRLayout().recognise(root, PROTOCOL)
    assert _read(root).ids == IDS
    assert _read(root).paths[0] == "iaprtc12/images/00/9.jpg"


def test_missing_pictures(root, tmp_path):
    (root / "images/00/25.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 3 pictures are missing.*\n  images/00/25\.jpg"):
        IAPRTC12(str(root), cache_dir=str(tmp_path)).read_catalogue()


@pytest.mark.parametrize("line", ["25", "25 1 104 7", "25 1 sky", "25 1 -104", "25 1 1e2", "25 1 \u0661"])
def test_strange_labels(root, line):
    path = root / "benchmark/saiapr_tc-12/01/labels.txt"
    path.write_bytes(f"100 1 276\n{line}\n".encode())
    shown = line.encode().decode("latin-1")
    assert _refused(root) == f"{path} line 2: {shown!r}, expected numbers: image, region, label"


def test_strange_captions(root):
    caption = root / "annotations_complete_eng/01/100.eng"
    other = root / "annotations_complete_eng/00/0100.eng"
    other.write_bytes(caption.read_bytes())
    assert _refused(root) == f"{caption}: image 100 has another caption in 00/"
    other.rename(other.with_name("notes.eng"))
    assert _refused(root) == f"{other.with_name('notes.eng')}: expected <number>.eng"


def test_nothing_in_common(root):
    for place in LABELS:
        (root / f"benchmark/saiapr_tc-12/{place}/labels.txt").write_text("1 1 7\n")
    assert _refused(root).startswith(f"{root}: no image has both a label in ")
    for place in LABELS:
        (root / f"benchmark/saiapr_tc-12/{place}/labels.txt").unlink()
    assert _refused(root) == f"{root / 'benchmark/saiapr_tc-12'}: no labels in saiapr_tc-12/NN/labels.txt"


def test_recognition(root, tmp_path):
    assert IAPRLayout().recognise(root, PROTOCOL)
    assert not IAPRLayout().recognise(tmp_path, PROTOCOL)
    with pytest.raises(DataError, match="holds no known layout of iaprtc12"):
        IAPRTC12(str(tmp_path)).read_catalogue()


LINES = st.sampled_from(
    [b"25 1 104", b"25 2", b"10 1 7", b"", b" \r", b"\x85 1 7", b"9 9 9 9", b"x", b"9999999999 1 1"]
)


def test_label_lines_are_read_or_refused(tmp_path_factory):
    root = tmp_path_factory.mktemp("labels")
    path = root / "00/labels.txt"
    path.parent.mkdir()

    @given(st.one_of(st.lists(LINES, max_size=5).map(b"\n".join), st.binary(max_size=40)))
    @settings(max_examples=100, deadline=None)
    def check(data):
        path.write_bytes(data)
        try:
            labels, short = _read_labels(root)
        except DataError as error:
            assert str(error).startswith(str(root))  # noqa: PT017
        else:
            rows = [line.split() for line in data.split(b"\n")]
            full = {(int(row[0]), int(row[2])) for row in rows if len(row) == 3}
            assert {(image, label) for image, found in labels.items() for label in found} == full
            assert short == sum(len(row) == 2 for row in rows)

    check()


def test_captions_are_what_stands_in_the_tag(tmp_path_factory):
    root = tmp_path_factory.mktemp("captions")
    path = root / "00/25.eng"
    path.parent.mkdir()

    @given(st.binary(max_size=12), st.binary(max_size=12).filter(lambda data: b"<" not in data))
    @settings(max_examples=100, deadline=None)
    def check(before, description):
        path.write_bytes(before + b"<DESCRIPTION>" + description + b"</DESCRIPTION>")
        sentence = " ".join(description.decode("latin-1").split())
        assert _read_captions(root) == ({25: ("00", sentence)} if sentence else {})

    check()
