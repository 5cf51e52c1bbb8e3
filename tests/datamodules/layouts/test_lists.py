"""ProS-GAN and HashNet lists: order, repetitions, damaged lines, and pictures below other folders."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.layouts.lists import HashNetLists, ProsGanLists, text_lines
from datamodules.layouts.places import listed_path, locate
from datamodules.missing import drop_missing
from datamodules.protocol import Protocol, last_number
from datamodules.source import DataError
from datamodules.splits import SplitSizes
from datamodules.stores import PictureStore

# 6 items, 3 classes, pictures of 5 x 4; the label of a number is its binary digits, its red is 30 x number.
PROTOCOL = Protocol(
    name="uni",
    class_names=("animals", "baby", "sky"),
    legacy_class_names=("sky", "animals", "baby"),
    sizes=SplitSizes(query=2, train=3),
    items=6,
    source="test",
    item_id=last_number,
)
PARTS = {"database": [4, 1, 7, 2], "test": [6, 3], "train": [7, 4, 7]}
LAYOUTS = {"prosgan": ProsGanLists(), "hashnet": HashNetLists()}


def _digits(number):
    return f"{number:03b}"


def _label(number):
    return " ".join(_digits(number))


def _write_lists(root, kind, parts=PARTS, folder="mirflickr/", end="\n"):
    root.mkdir(exist_ok=True)
    for part, numbers in parts.items():
        paths, labels = [f"{folder}im{n}.jpg" for n in numbers], [_label(n) for n in numbers]
        if kind == "prosgan":
            texts = {f"{part}_img.txt": paths, f"{part}_label.txt": labels}
        else:
            texts = {f"{part}.txt": [f"{path} {label}" for path, label in zip(paths, labels, strict=True)]}
        for name, lines in texts.items():
            (root / name).write_bytes("".join(line + end for line in lines).encode())


def _picture(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4), (30 * number, 9, 0)).save(path, "PNG")  # a PNG that is called .jpg


def _pictures(root, folder, numbers=(1, 2, 3, 4, 6, 7)):
    for number in numbers:
        _picture(root / folder / f"im{number}.jpg", number)


@pytest.fixture(params=LAYOUTS)
def kind(request):
    return request.param


@pytest.fixture
def root(tmp_path, kind):
    _write_lists(tmp_path, kind)
    _pictures(tmp_path, "mirflickr")
    return tmp_path


def _read(root, kind):
    assert LAYOUTS[kind].recognise(root, PROTOCOL)
    return LAYOUTS[kind].read(root, PROTOCOL)


def _fails(root, kind, *words):
    with pytest.raises(DataError) as caught:
        _read(root, kind)
    for word in words:
        assert word in str(caught.value)


def _label_file(part, kind):
    return f"{part}_label.txt" if kind == "prosgan" else f"{part}.txt"


def _edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def _check_rows(root, catalogue):
    store = PictureStore(root)
    for row, item in enumerate(catalogue.ids):
        assert store.read(catalogue.paths[row])[:, 2, 3].tolist() == [30 * int(item), 9, 0]
        assert "".join(map(str, catalogue.labels[row])) == _digits(int(item))


def test_rows_follow_the_database_list_then_the_queries(root, kind):
    catalogue = _read(root, kind)
    assert catalogue.ids == ("4", "1", "7", "2", "6", "3")
    assert catalogue.database.tolist() == [0, 1, 2, 3]
    assert catalogue.query.tolist() == [4, 5]
    assert catalogue.train.tolist() == [2, 0, 2]  # in list order, with the repeated line
    assert catalogue.class_names == ("sky", "animals", "baby")
    assert catalogue.keys is None
    assert _label_file("database", kind) in catalogue.facts["label_source"]
    assert catalogue.facts["picture_source"] == "where the list says"
    _check_rows(root, catalogue)


def test_both_layouts_give_the_same_catalogue(tmp_path):
    found = []
    for kind, layout in LAYOUTS.items():
        _write_lists(tmp_path / kind, kind)
        _pictures(tmp_path / kind, "mirflickr")
        found.append(layout.read(tmp_path / kind, PROTOCOL))
    assert found[0].ids == found[1].ids
    assert found[0].paths == found[1].paths
    for part in ("labels", "query", "database", "train"):
        assert np.array_equal(getattr(found[0], part), getattr(found[1], part))


def test_columns_may_be_alphabetical(root, kind):
    assert type(LAYOUTS[kind])(columns="alphabetical").read(root, PROTOCOL).class_names == PROTOCOL.class_names


def test_keys_come_from_the_protocol(root, kind):
    protocol = replace(PROTOCOL, key=lambda item: f"photo{item}")
    assert LAYOUTS[kind].read(root, protocol).keys[:2] == ("photo4", "photo1")


@pytest.mark.parametrize("end", ["\r\n", " \n", "\r", "\t \r\n"])
def test_line_ends(root, kind, end):
    expected = _read(root, kind)
    _write_lists(root, kind, end=end)
    found = _read(root, kind)
    assert (found.ids, found.paths) == (expected.ids, expected.paths)
    assert np.array_equal(found.labels, expected.labels)


def test_blank_last_lines_and_byte_order_mark(root, kind):
    for file in root.glob("*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes() + b" \r\n\n")
    _check_rows(root, _read(root, kind))


def test_no_newline_at_the_end(root, kind):
    for file in root.glob("*.txt"):
        file.write_bytes(file.read_bytes().rstrip())
    _check_rows(root, _read(root, kind))


def test_item_without_labels(root, kind):
    for part in ("database", "train"):
        _edit(root / _label_file(part, kind), _label(4), "0 0 0")
    assert _read(root, kind).labels[0].tolist() == [0, 0, 0]


def test_blank_line_between_items_is_an_error(root, kind):
    _edit(root / _label_file("database", kind), "\n", "\n\n")
    _fails(root, kind, f"{_label_file('database', kind)}, line 2", "blank line")


@pytest.mark.parametrize("row", ["0 1", "0 1 1 0", "0 1 2", "01 1", "0 1 x", "0 1 1.0", "0 1 \u0661"])
def test_bad_label_row(root, kind, row):
    _edit(root / _label_file("database", kind), _label(1), row)
    _fails(root, kind, f"{_label_file('database', kind)}, line 2", "expected 3", "protocol uni")


def test_unequal_line_counts(tmp_path):
    _write_lists(tmp_path, "prosgan")
    with (tmp_path / "test_label.txt").open("a") as file:
        file.write("0 0 1\n")
    _fails(tmp_path, "prosgan", "test_label.txt, line 3", "test_img.txt")
    (tmp_path / "test_label.txt").write_text("1 1 0\n")
    _fails(tmp_path, "prosgan", "test_img.txt, line 2", "test_label.txt")


def test_no_utf8(root, kind):
    file = root / _label_file("test", kind)
    file.write_bytes(file.read_bytes() + b"im\xe9 0 1 1\n")
    _fails(root, kind, f"{file}, line 3", "0xe9")


@pytest.mark.parametrize("part", ["database", "test", "train"])
def test_empty_list(root, kind, part):
    file = root / _label_file(part, kind)
    file.write_text("\n")
    if kind == "prosgan" or part == "database":
        _fails(root, kind, f"{file} is empty")
    else:
        assert not LAYOUTS[kind].recognise(root, PROTOCOL)


def test_missing_database_names_file_and_publisher(root, kind):
    (root / _label_file("database", kind)).unlink()
    _fails(root, kind, _label_file("database", kind), "is missing", "https://github.com/")


def test_query_in_the_database(root, kind):
    _write_lists(root, kind, PARTS | {"database": [4, 1, 3, 7, 2, 6]})
    _fails(root, kind, "2 queries", "6, 3")


def test_at_most_five_ids_are_listed(root, kind):
    _write_lists(root, kind, {"database": [1, 2, 3, 4, 5, 6, 7], "test": [7, 6, 5, 4, 3, 2], "train": [1]})
    _fails(root, kind, "6 queries", "7, 6, 5, 4, 3 ...")


def test_training_items_outside_the_database(root, kind):
    _write_lists(root, kind, PARTS | {"train": [5, 4, 6, 5]})
    _fails(root, kind, "2 items", "not in", ": 5, 6.", "add their lines to the lists of the database")


@pytest.mark.parametrize("part", ["database", "test"])
def test_repeated_item(root, kind, part):
    _write_lists(root, kind, PARTS | {part: [2, 5, 2]})
    _fails(root, kind, "line 3", "item 2 again", "line 1")


def test_training_labels_differ_from_the_database(root, kind):
    _edit(root / _label_file("train", kind), _label(4), "1 1 0")
    _fails(root, kind, ", line 2", "item 4", "line 1 of the database")


@pytest.mark.parametrize("path", ["../im4.jpg", "a/../../im4.jpg", "/", "p.npy#x", "a\0b.jpg"])
def test_paths_that_are_refused(root, kind, path):
    file = root / ("database_img.txt" if kind == "prosgan" else "database.txt")
    _edit(file, "mirflickr/im4.jpg", path)
    _fails(root, kind, f"{file.name}, line 1", "no path of a picture")


@pytest.mark.parametrize(
    "folder", ["", "images", "images/mirflickr", "mirflickr25k/mirflickr", "mirflickr25k", "a/b/mirflickr", "a/b/c"]
)
@pytest.mark.parametrize("listed", ["", "mirflickr/", "/home/me/data/mirflickr/", "C:\\mirflickr\\", "./mirflickr/"])
def test_pictures_below_other_folders(tmp_path, folder, listed):
    _write_lists(tmp_path, "prosgan", folder=listed)
    _pictures(tmp_path, folder)
    catalogue = _read(tmp_path, "prosgan")
    assert catalogue.paths[0] == f"{folder}/im4.jpg".removeprefix("/")
    _check_rows(tmp_path, catalogue)


def test_blanks_in_a_path(tmp_path, kind):
    _write_lists(tmp_path, kind, folder="my pictures 1/")
    _pictures(tmp_path, "my pictures 1")
    _check_rows(tmp_path, _read(tmp_path, kind))


def test_found_folder_is_reported(tmp_path):
    _write_lists(tmp_path, "prosgan")
    _pictures(tmp_path, "photos")
    assert _read(tmp_path, "prosgan").facts["picture_source"] == "mirflickr is photos (6)"


def test_pictures_in_an_archive(tmp_path):
    _write_lists(tmp_path, "prosgan")
    (tmp_path / "a_broken.zip").write_bytes(b"PK\x03\x04 half of an archive")
    _pictures(tmp_path / "gone", "")
    with zipfile.ZipFile(tmp_path / "mirflickr25k.zip", "w") as archive:
        for file in sorted((tmp_path / "gone").iterdir()):
            archive.write(file, f"mirflickr/{file.name}")
            file.unlink()
    catalogue = _read(tmp_path, "prosgan")
    assert catalogue.paths[0] == "mirflickr25k.zip/mirflickr/im4.jpg"
    _check_rows(tmp_path, catalogue)


def test_copies_are_never_mixed(tmp_path):
    _write_lists(tmp_path, "prosgan")
    _pictures(tmp_path, "mirflickr", (1, 2, 3, 4, 6))  # number 7 is only among the thumbnails
    _pictures(tmp_path, "thumbs")
    catalogue = _read(tmp_path, "prosgan")
    assert set(catalogue.paths) == {f"mirflickr/im{n}.jpg" for n in (1, 2, 3, 4, 6, 7)}
    assert [catalogue.ids[row] for row in PictureStore(tmp_path).missing(catalogue.paths)] == ["7"]


def test_two_equally_likely_copies_are_an_error(tmp_path):
    _write_lists(tmp_path, "prosgan")
    _pictures(tmp_path, "photos")
    _pictures(tmp_path, "thumbs")
    _fails(tmp_path, "prosgan", "photos and thumbs", "keep only one")


def test_flat_list_over_many_folders(tmp_path):
    _write_lists(tmp_path, "prosgan", folder="images/")
    _pictures(tmp_path, "Flickr/actor", (1, 4))
    _pictures(tmp_path, "Flickr/zebra", (2, 3, 6))
    catalogue = _read(tmp_path, "prosgan")
    places = dict(zip(catalogue.ids, catalogue.paths, strict=True))
    assert (places["4"], places["3"]) == ("Flickr/actor/im4.jpg", "Flickr/zebra/im3.jpg")
    assert PictureStore(tmp_path).missing(catalogue.paths) == [catalogue.ids.index("7")]


def test_two_listed_folders_must_not_become_one_file(tmp_path):
    _picture(tmp_path / "flat" / "1.jpg", 1)
    with pytest.raises(DataError, match=r"train/1\.jpg and val/1\.jpg"):
        locate(tmp_path, ["train/1.jpg", "val/1.jpg"])


def test_linked_folders_and_circles(tmp_path):
    _pictures(tmp_path / "elsewhere", "")
    root = tmp_path / "root"
    _write_lists(root, "prosgan")
    (root / "mirflickr").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "circle").symlink_to(root, target_is_directory=True)
    catalogue = _read(root, "prosgan")
    assert catalogue.paths[0] == "mirflickr/im4.jpg"
    _check_rows(root, catalogue)


def test_no_picture_at_all(tmp_path, kind):
    _write_lists(tmp_path, kind)
    catalogue = _read(tmp_path, kind)  # they may come from the Hub
    assert catalogue.paths[0] == "mirflickr/im4.jpg"
    assert "no listed picture" in catalogue.facts["picture_source"]
    with pytest.raises(DataError, match=r"none of the 6 listed pictures is there, for instance mirflickr/im4\.jpg"):
        drop_missing(catalogue, PictureStore(tmp_path), "skip")


def test_other_files_are_not_recognised(tmp_path):
    for name in ("train.txt", "test.txt", "database.txt"):
        (tmp_path / name).write_text("A photo of two dogs\n")
    for name in ("database_img.txt", "database_label.txt", "test_img.txt", "test_label.txt"):
        (tmp_path / name).write_text("1\n")
    (tmp_path / "train").mkdir()
    assert not any(layout.recognise(tmp_path, PROTOCOL) for layout in LAYOUTS.values())
    assert not any(layout.recognise(tmp_path / "nowhere", PROTOCOL) for layout in LAYOUTS.values())


WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_give_lines_or_a_data_error(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(data)
    ends = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        ends.decode()
    except UnicodeDecodeError:
        with pytest.raises(DataError, match="no UTF-8"):
            text_lines(file)
    else:
        assert len(text_lines(file)) == ends.count(b"\n") + (not ends.endswith(b"\n"))


@settings(max_examples=100, deadline=None)
@given(
    parts=st.lists(WORDS.filter(lambda w: not set(w) & set("/\\:#") and w not in (".", "..")), min_size=1, max_size=4)
)
def test_listed_path_keeps_the_parts(parts):
    for text in ("/".join(parts), "\\".join(parts), f" C:\\{'//'.join(parts)} ", "./" + "/./".join(parts)):
        assert listed_path(text, "list, line 1").split("/") == parts


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(st.text("im1.jpg 012\\/\t", max_size=12), min_size=1, max_size=4))
def test_any_hashnet_list_gives_rows_or_a_data_error(tmp_path_factory, lines):
    root = tmp_path_factory.getbasetemp()
    (root / "database.txt").write_text("\n".join(lines))
    filled = [line.split() for line in lines if line.strip()]
    with suppress(DataError):  # nothing else may be raised
        listing = LAYOUTS["hashnet"].listing(root, "database", PROTOCOL)
        assert listing.labels.tolist() == [[int(field) for field in fields[-3:]] for fields in filled]
        assert [len(fields) > 3 for fields in filled] == [True] * len(listing.ids)
