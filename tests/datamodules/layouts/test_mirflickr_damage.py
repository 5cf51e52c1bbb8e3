"""Files of MIRFLICKR-25K that are missing, malformed or damaged, and any text in their place."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules import DataError
from datamodules.flickr25k import FLICKR25K
from datamodules.layouts.mirflickr import MirFlickr, numbered_lines, parse_annotation, parse_vocabulary
from datamodules.stores import PictureStore
from tests.datamodules.layouts.mirflickr_files import (
    ANNOTATIONS_ZIP,
    LABELS,
    archives,
    folder,
    labels_of,
    module_of,
    originals,
    read,
)
from tests.datamodules.layouts.writing import pack, unpack

pytestmark = pytest.mark.filterwarnings("ignore:.*items, the protocol flickr25k")


@pytest.fixture
def root(tmp_path):
    return folder(tmp_path / "data")


@pytest.mark.parametrize("line", ["0", "25001", "-3", "3.0", "1 2", "im3", "\N{FULLWIDTH DIGIT ONE}", "9" * 99])
def test_a_line_that_is_no_picture_number_is_named(root, line):
    (root / "annotations/lake.txt").write_text(f"1\n\n{line}\n")
    with pytest.raises(DataError, match=r"annotations/lake\.txt, line 3: .*expected a picture number from 1 to 25000"):
        read(root)


def test_a_missing_annotation_is_named(root):
    (root / "annotations/lake.txt").unlink()
    (root / "annotations/sea_r1.txt").unlink()
    with pytest.raises(DataError, match=r"no annotations lake\.txt, sea_r1\.txt"):
        read(root)


def test_a_missing_tag_file_is_named(root):
    (root / "mirflickr/meta/tags/tags100.txt").unlink()
    with pytest.raises(DataError, match=r"meta/tags: 1 of 11 tag files are missing, the first is tags100\.txt"):
        read(root)


def test_text_that_is_no_utf8_is_named(root):
    (root / "mirflickr/meta/tags/tags11.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match=r"tags11\.txt: not UTF-8"):
        read(root)


@pytest.mark.parametrize(
    ("text", "message"), [("sky 3\nred car 4\n", "line 2: 'red car 4'"), ("a 2\nb 2\na 1", "line 3")]
)
def test_a_malformed_vocabulary_is_named(root, text, message):
    (root / "mirflickr/doc/common_tags.txt").write_text(text)
    with pytest.raises(DataError, match=rf"common_tags\.txt, {message}"):
        read(root, "cross")


def test_missing_pictures_are_listed_or_left_out(root):
    (root / "mirflickr/im10.jpg").unlink()
    with pytest.raises(DataError, match=r"(?s)1 of 11 pictures are missing.*mirflickr/im10\.jpg"):
        module_of(root)
    source = module_of(root, missing="skip").source
    assert source.ids == tuple(str(number) for number in sorted(LABELS) if number != 10)


def test_a_truncated_picture_is_named(root):
    place = root / "mirflickr/im2500.jpg"
    place.write_bytes(place.read_bytes()[:300])
    catalogue = read(root)
    with pytest.raises(DataError, match=r"im2500\.jpg: not a readable picture"):
        PictureStore(root).read(catalogue.paths[catalogue.ids.index("2500")])


@pytest.mark.parametrize("name", ["mirflickr25k.zip", ANNOTATIONS_ZIP])
def test_an_archive_that_came_down_in_part_is_named(tmp_path, name):
    root = archives(tmp_path / "data")
    (root / name).write_bytes((root / name).read_bytes()[:1000])
    with pytest.raises(DataError, match=rf"{name} cannot be opened \(File is not a zip file\)"):
        module_of(root)


def test_a_damaged_archive_beside_its_contents_does_no_harm(root):
    (root / "mirflickr25k.zip").write_bytes(b"PK")
    assert len(module_of(root).source.ids) == 11


def test_a_folder_of_something_else_is_not_recognised(tmp_path):
    unpack(tmp_path, {"images/cat1.jpg": b"", "labels.txt": b"", "other.zip": b"no archive"})
    assert not MirFlickr().recognise(tmp_path, FLICKR25K.protocols["uni"])
    with pytest.raises(DataError, match=r"no known layout of flickr25k \(uni\)"):
        FLICKR25K(str(tmp_path)).prepare_data()


def test_a_damaged_member_is_named(tmp_path):
    root = archives(tmp_path / "data")
    data = (root / ANNOTATIONS_ZIP).read_bytes()
    place = data.index(b"sea.txt") + len(b"sea.txt")
    (root / ANNOTATIONS_ZIP).write_bytes(data[:place] + b"\xff\xff" + data[place + 2 :])
    with pytest.raises(DataError, match=rf"{ANNOTATIONS_ZIP}/sea\.txt: cannot be read \(Error -3 while decompressing"):
        read(root)


@pytest.fixture(scope="module")
def packed_annotations():
    buffer = io.BytesIO()
    pack(buffer, originals()[1])
    return buffer.getvalue()


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 9999), byte=st.integers(0, 255))
def test_a_damaged_archive_gives_a_message_or_the_truth(packed_annotations, tmp_path_factory, position, byte):
    root = tmp_path_factory.mktemp("damaged")
    damaged = bytearray(packed_annotations)
    damaged[position % len(damaged)] = byte
    unpack(root, {"im1.jpg": b"", ANNOTATIONS_ZIP: bytes(damaged)})
    try:
        found = read(root)
    except DataError:
        return
    assert labels_of(found) == {number: set(names.split()) for number, names in LABELS.items() if names}


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(1, 25000)), st.sampled_from(["\n", "\r\n", "\r", " \n\n"]))
def test_annotations_survive_every_line_ending(numbers, end):
    assert parse_annotation(end.join(map(str, numbers)) + end, "sky.txt") == numbers


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_no_text_crashes_a_parser(text):
    for parse in (parse_annotation, parse_vocabulary):
        try:
            found = parse(text, "file.txt")
        except DataError:
            continue
        lines = [line for line in re.split("[\r\n]", text) if line.strip()]
        assert len(found) <= len(lines)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1), unique=True),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
def test_the_vocabulary_keeps_its_order(tags, counts, end):
    text = end.join(f"{tag} {position}" if counts else tag for position, tag in enumerate(tags))
    assert parse_vocabulary(text, "common_tags.txt") == tuple(tags)
    assert [line for _, line in numbered_lines(end.join(tags))] == tags
