"""NUS-WIDE's archives: three names of a picture, repeated photographs, and lists that must not shift."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import DataError, Pixels, SplitSizes
from datamodules.layouts.nus import NUSLayout, _binary_tags, _free_tags, _image_list, _label_column
from datamodules.nuswide import NUSWIDE, flickr_id, photograph

# Five of the 5 concepts, in both orders, and as many items as the fixture has: a test writes fewer files.
PROTOCOL = replace(
    NUSWIDE.protocols["cross"],
    class_names=("animal", "beach", "lake", "person", "sky"),
    legacy_class_names=("sky", "person", "animal", "lake", "beach"),
    items=5,
)
# Row of the image list: entry, concepts. Row 2 has none of the five; rows 0 and 3 show one photograph.
ROWS = (
    ("actor\\0001_2124494179.jpg ", {"sky", "person"}),
    ("C:\\ImageData\\Flickr\\zoo\\0002_51.jpg ", {"animal"}),
    ("lake\\0003_777.jpg ", {"airport"}),
    ("beach\\0004_2124494179.jpg ", {"beach"}),
    ("dog\\0005_12.jpg ", {"animal", "lake"}),
    ("tower\\0001_9.jpg ", {"sky", "airport"}),
)
ITEMS = (0, 1, 3, 4, 5)
FLICKR = ("2124494179", "51", "777", "2124494179", "12", "9")
IDS = ("2124494179", "51", "2124494179#3", "12", "9")
WORDS = ("explore", "café", "2007")
# AllTags1k and All_Tags differ in row 4, as the originals do in 16 rows.
MARKS = ((1, 0, 1), (0, 0, 0), (1, 1, 1), (0, 1, 0), (0, 0, 1), (1, 0, 0))
FREE = ("2007  rare explore", "", "explore", "café other", "explore 2007", "explore\u0085rare explore")
SIZES = SplitSizes(query=1, train=2, val=1)


class Small(NUSWIDE):
    """NUS-WIDE with the protocol of the fixture."""

    protocols: ClassVar[dict] = {"cross": PROTOCOL}


def _colour(row):
    return (20 + 40 * row, 250 - 40 * row, 90)


def _write_lists(root, *, tags=True):
    def write(place, lines, end="\n"):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(line + end for line in lines).encode())

    write("ImageList/Imagelist.txt", [entry for entry, _ in ROWS], "\r\n")
    for name in (*PROTOCOL.class_names, "airport"):
        write(f"Groundtruth/AllLabels/Labels_{name}.txt", [str(int(name in concepts)) for _, concepts in ROWS])
    write("Groundtruth/TrainTestLabels/Labels_lake_Train.txt", ["-1130179"])
    if tags:
        write("NUS_WID_Tags/TagList1k.txt", WORDS, "\r\n")
        write("NUS_WID_Tags/AllTags1k.txt", ["\t".join(map(str, marks)) + "\t" for marks in MARKS])
        write("NUS_WID_Tags/All_Tags.txt", [f"{name}      {tags}" for name, tags in zip(FLICKR, FREE, strict=True)])


def _tree(entry, row):
    del row
    return "Flickr/" + "/".join(entry.strip().split("\\")[-2:])


def _flat(entry, row):
    del row
    return "images/" + entry.strip().rpartition("\\")[2]


def _hashnet(entry, row):
    del entry
    return f"images/{900 - row}_{FLICKR[row]}_3f2a{row % 3}_m.jpg"


def _write_pictures(root, encode, name_of):
    for row, (entry, _) in enumerate(ROWS):
        path = root / name_of(entry, row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(Image.new("RGB", (9, 5), _colour(row)), "JPEG", quality=95))


@pytest.fixture
def root(tmp_path, encode):
    folder = tmp_path / "nus"
    _write_lists(folder)
    _write_pictures(folder, encode, _tree)
    return folder


def _read(root):
    return NUSLayout().read(root, PROTOCOL)


def _refused(root):
    with pytest.raises(DataError) as caught:
        _read(root)
    return str(caught.value)


def _rewrite(path, change):
    path.write_bytes(change(path.read_bytes()))


def test_items_are_the_rows_with_a_concept(root):
    catalogue = _read(root)
    assert catalogue.name == "nuswide"
    assert catalogue.ids == IDS
    found = [{catalogue.class_names[c] for c in np.flatnonzero(label)} for label in catalogue.labels]
    assert found == [ROWS[row][1] - {"airport"} for row in ITEMS]
    assert catalogue.query is catalogue.database is catalogue.train is None
    assert catalogue.facts["label_source"] == "AllLabels"


def test_a_photograph_listed_twice_has_one_key(root):
    catalogue = _read(root)
    assert catalogue.keys == ("2124494179", "51", "2124494179", "12", "9")
    assert [photograph(i) for i in catalogue.ids] == list(catalogue.keys)


def test_a_repeat_alone_in_the_protocol_keeps_the_plain_id(root):
    for name in ("sky", "person"):
        _rewrite(root / f"Groundtruth/AllLabels/Labels_{name}.txt", lambda data: b"0" + data[1:])
    assert _read(root).ids == ("51", "2124494179", "12", "9")


def test_every_name_of_a_picture_gives_the_same_data(tmp_path, encode):
    marks = set()
    for names in (_tree, _flat, _hashnet):
        folder = tmp_path / names.__name__
        _write_lists(folder)
        _write_pictures(folder, encode, names)
        module = Small(str(folder), cache_dir=str(tmp_path / "cache"), splits=SIZES, pixels=Pixels(4))
        module.prepare_data()
        module.setup()
        marks.add(module.fingerprint)
        for place, row in enumerate(ITEMS):
            expected = [_colour(row)]
            if names is _hashnet:  # both rows of the photograph may show either file
                expected = [_colour(other) for other in range(6) if FLICKR[other] == FLICKR[row]]
            image = module.source.image(place)
            assert image.shape == (3, 5, 9)
            seen = image[:, 2, 4].tolist()
            assert any(max(abs(a - b) for a, b in zip(seen, one, strict=True)) < 4 for one in expected), seen
    assert len(marks) == 1


def test_small_copies_are_said(tmp_path, encode, root):
    assert "pictures" not in _read(root).facts
    _write_lists(tmp_path / "small")
    _write_pictures(tmp_path / "small", encode, _hashnet)
    assert "240-pixel" in _read(tmp_path / "small").facts["pictures"]


def test_the_tree_is_preferred_to_other_copies(root, encode):
    _write_pictures(root, encode, _hashnet)
    _write_pictures(root, encode, _flat)
    assert _read(root).paths == tuple(_tree(ROWS[row][0], row) for row in ITEMS)


def test_linked_folders_are_followed_once(root, tmp_path):
    (root / "Flickr").rename(tmp_path / "elsewhere")
    (root / "Flickr").symlink_to(tmp_path / "elsewhere")
    (root / "Flickr/loop").symlink_to(root)
    assert _read(root).paths[1] == "Flickr/zoo/0002_51.jpg"


def test_missing_pictures_are_named_by_the_image_list(root, tmp_path):
    (root / "Flickr/zoo/0002_51.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 5 pictures are missing.*\n  zoo/0002_51\.jpg"):
        Small(str(root), cache_dir=str(tmp_path)).read_catalogue()
    with pytest.warns(UserWarning, match="4 items, the protocol nuswide/cross has 5"):
        left = Small(str(root), missing="skip", cache_dir=str(tmp_path)).read_catalogue()
    assert left.ids == (IDS[0], *IDS[2:])


def test_class_orders(root, tmp_path):
    ours = Small(str(root), cache_dir=str(tmp_path)).read_catalogue()
    legacy = Small(str(root), class_order="legacy", cache_dir=str(tmp_path)).read_catalogue()
    assert ours.labels.tolist() == [[0, 0, 0, 1, 1], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 0, 1]]
    assert legacy.labels.tolist() == [
        [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0]
    ]  # fmt: skip


def test_protocols():
    for protocol in NUSWIDE.protocols.values():
        assert (protocol.items, protocol.sizes.query, protocol.sizes.train) == (195_834, 2100, 10_500)
        assert list(protocol.class_names) == sorted(protocol.legacy_class_names)
        assert len(set(protocol.class_names)) == 21
        assert protocol.legacy_class_names[:3] == ("sky", "clouds", "person")


# Tags.


def test_tags_are_those_that_the_binary_file_marks(root):
    catalogue = _read(root)
    assert catalogue.tags == [("explore", "2007"), (), ("café",), ("2007",), ("explore",)]
    assert catalogue.facts["text_source"] == "AllTags1k, TagList1k"
    assert catalogue.facts["vocabulary"] == "NUS_WID_Tags/TagList1k.txt"


def test_tags_of_the_free_file_keep_the_words_of_the_list(root):
    (root / "NUS_WID_Tags/AllTags1k.txt").unlink()
    catalogue = _read(root)
    # U+0085 is no blank of these files: "explore\u0085rare" is one word, and not of the list.
    assert catalogue.tags == [("explore", "2007"), (), ("café",), ("explore", "2007"), ("explore",)]
    assert catalogue.facts["text_source"] == "All_Tags, words of TagList1k"


def test_free_tags_without_a_list_of_words(root):
    for name in ("AllTags1k.txt", "TagList1k.txt"):
        (root / "NUS_WID_Tags" / name).unlink()
    catalogue = _read(root)
    assert catalogue.tags[0] == ("2007", "rare", "explore")
    assert catalogue.tags[4] == ("explore\u0085rare", "explore")
    assert catalogue.facts["text_source"] == "All_Tags"
    assert "vocabulary" not in catalogue.facts


def test_no_tags_at_all(tmp_path):
    _write_lists(tmp_path, tags=False)
    catalogue = _read(tmp_path)
    assert catalogue.tags is None
    assert catalogue.facts["text_source"].startswith("none")


# Errors.


def test_the_corrupt_value_is_named(root):
    path = root / "Groundtruth/AllLabels/Labels_lake.txt"
    path.write_text("0\n0\n0\n0\n-1130179\n0\n")
    assert _refused(root) == f"{path} line 5: '-1130179', expected 0 or 1"


def test_labels_of_other_lengths(root):
    path = root / "Groundtruth/AllLabels/Labels_sky.txt"
    _rewrite(path, lambda data: data[2:])
    assert _refused(root) == f"{path}: 5 lines, but the image list has 6"
    path.unlink()
    assert _refused(root) == f"{path}: cannot be read (No such file or directory)"


def test_a_blank_line_would_shift_rows(root):
    path = root / "Groundtruth/AllLabels/Labels_sky.txt"
    path.write_text("1\n\n0\n0\n0\n1\n")
    assert _refused(root) == f"{path} line 2: blank, expected one row per image"
    path.write_text("1\n0\n0\n0\n0\n1\n\n \n")
    assert _read(root).ids == IDS


def test_image_list_with_a_strange_line(root):
    path = root / "ImageList/Imagelist.txt"
    _rewrite(path, lambda data: data.replace(b"zoo\\0002_51.jpg", b"zoo\\\xff.jpg"))
    assert _refused(root) == (
        f"{path} line 2: 'C:\\\\ImageData\\\\Flickr\\\\zoo\\\\ÿ.jpg', expected a picture "
        "<concept>\\<serial>_<flickr id>.jpg"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"1\t0\t1\t\n", b"1\t0\t\n", "line 1: 2 values for 3 words of TagList1k.txt"),
        (b"1\t0\t1\t\n", b"1\t2\t1\t\n", "line 1: '2', expected 0 or 1"),
        (b"1\t0\t1\t\n", b"1\t01\t1\t\n", "line 1: '01', expected 0 or 1"),
        (b"1\t0\t1\t\n", b"", ": 5 lines, but the image list has 6"),
    ],
)
def test_strange_binary_tags(root, old, new, message):
    path = root / "NUS_WID_Tags/AllTags1k.txt"
    _rewrite(path, lambda data: data.replace(old, new, 1))
    assert _refused(root) == f"{path} {message}".replace(" :", ":")


def test_free_tags_of_another_image(root):
    (root / "NUS_WID_Tags/AllTags1k.txt").unlink()
    path = root / "NUS_WID_Tags/All_Tags.txt"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[1], lines[0], *lines[2:]]))
    assert _refused(root) == f"{path} line 1: Flickr id '51', the image list has 2124494179"
    path.write_bytes(b"\n".join(lines[:4]))
    assert _refused(root) == f"{path}: 4 lines, but the image list has 6"


def test_no_item_of_the_protocol(root):
    for name in PROTOCOL.class_names:
        (root / f"Groundtruth/AllLabels/Labels_{name}.txt").write_text("0\n" * 6)
    assert _refused(root) == f"{root / 'Groundtruth/AllLabels'}: no image has any of the 5 concepts"


def test_recognition(root, tmp_path):
    assert NUSLayout().recognise(root, PROTOCOL)
    assert not NUSLayout().recognise(tmp_path, PROTOCOL)
    with pytest.raises(DataError, match=r"holds no known layout of nuswide \(uni\)"):
        NUSWIDE(str(tmp_path)).read_catalogue()


# Any content.


@given(serial=st.integers(0, 9999), flickr=st.integers(1, 10**11), secret=st.text("0123456789abcdef", min_size=1))
@settings(max_examples=100, deadline=None)
def test_all_names_give_the_flickr_id(serial, flickr, secret):
    names = (
        f"C:\\ImageData\\Flickr\\zoo\\{serial:04d}_{flickr}.jpg ",
        f"images/{serial:04d}_{flickr}.jpg",
        f"images/{serial}_{flickr}_{secret}_m.jpg",
    )
    assert {flickr_id(name) for name in names} == {str(flickr)}


ROW_COUNT = 3
PARSERS = {
    "labels": lambda path: _label_column(path, ROW_COUNT),
    "binary": lambda path: _binary_tags(path, np.arange(ROW_COUNT), ("a", "b"), ROW_COUNT),
    "free": lambda path: _free_tags(path, np.arange(ROW_COUNT), None, ("1", "12", "1")),
    "images": lambda path: _image_list(path, PROTOCOL),
}
LINES = st.sampled_from(
    [
        b"0",
        b"1",
        b"0 \r",
        b"1\t0",
        b"0 1 ",
        b"1 1",
        b"12 caf\xe9 x\x85y",
        b"1",
        b"",
        b"\x00",
        b"a\\1_1.jpg ",
        b"a/2_3.jpg",
    ]
)


@pytest.mark.parametrize("kind", PARSERS)
def test_content_is_read_row_by_row_or_refused(tmp_path_factory, kind):
    path = tmp_path_factory.mktemp("any") / "list.txt"

    @given(st.one_of(st.binary(max_size=40), st.lists(LINES, max_size=5).map(b"\n".join)))
    @settings(max_examples=100, deadline=None)
    def check(data):
        path.write_bytes(data)
        lines = data.rstrip(b" \t\r\n\x0b\x0c").split(b"\n")
        try:
            found = PARSERS[kind](path)
        except DataError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
        else:
            assert len(found) == len(lines) == (len(lines) if kind == "images" else ROW_COUNT)
            expected = {
                "labels": lambda line: int(line),
                "binary": lambda line: tuple(word for word, mark in zip("ab", line.split(), strict=True) if int(mark)),
                "free": lambda line: tuple(dict.fromkeys(map(_loose, line.split()[1:]))),
                "images": lambda line: "/".join(_loose(line.strip()).replace("\\", "/").split("/")[-2:]),
            }[kind]
            assert list(found) == list(map(expected, lines))

    check()


def _loose(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
