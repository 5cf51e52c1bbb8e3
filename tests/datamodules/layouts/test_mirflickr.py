"""MIRFLICKR-25K as it is published, in every form that its two archives take on a disk."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import DataError, Loading, SplitSizes
from datamodules.flickr25k import FLICKR25K
from datamodules.layouts.mirflickr import MirFlickr, numbered_lines, parse_annotation, parse_vocabulary
from datamodules.manifest import text_fingerprint
from datamodules.stores import PictureStore

pytestmark = pytest.mark.filterwarnings("ignore:.*items, the protocol flickr25k")

# Picture 10 has only an _r1 label and picture 3 none; 2 has no tags, and 20 no common one.
LABELS = {
    1: "clouds clouds_r1 sky", 2: "sky", 3: "", 10: "people_r1", 11: "dog dog_r1", 20: "tree", 100: "night night_r1",
    101: "water", 1000: "female people portrait", 2500: "food indoor", 25000: "bird bird_r1 sea",
}  # fmt: skip
TAGS = {
    1: "harbour café", 2: "", 3: "macro", 10: "harbour", 11: "2007 macro", 20: "rarest", 100: "über", 101: "harbour",
    1000: "dog's über", 2500: "rarest 2007", 25000: "日本 macro",
}  # fmt: skip
VOCABULARY = ("harbour", "macro", "2007", "über")
CROSS = (1, 11, 100, 101, 1000, 2500, 25000)
CONCEPTS = FLICKR25K.protocols["uni"].class_names
ANNOTATIONS_ZIP = "mirflickr25k_annotations_v080.zip"


def colour(number):
    return number % 256, number // 256, 200 - number % 100


def jpeg(number):
    """A flat colour that tells the number; landscape or portrait; one of them is grey."""
    size = (31, 22) if number % 2 else (19, 27)
    picture = Image.new("RGB", size, colour(number))
    if number == 101:
        picture = picture.convert("L")
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def originals():
    """What the two archives hold."""
    pictures = {f"mirflickr/im{number}.jpg": jpeg(number) for number in LABELS}
    pictures["mirflickr/doc/common_tags.txt"] = "".join(f"{t} {41 - i}\n" for i, t in enumerate(VOCABULARY)).encode()
    for number, tags in TAGS.items():
        pictures[f"mirflickr/meta/tags/tags{number}.txt"] = "".join(f"{tag}\n" for tag in tags.split()).encode()
        pictures[f"mirflickr/meta/tags_raw/tags{number}.txt"] = b"Not Cleaned\n"
    annotations = {"README.txt": b"One image number per line.\n17\n"}
    for concept in CONCEPTS:
        shown = [number for number in LABELS if concept in LABELS[number].split()]
        annotations[f"{concept}.txt"] = "".join(f"{number}\n" for number in shown).encode()
    return pictures, annotations


def unpack(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def pack(path, files):
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def folder(root):
    pictures, annotations = originals()
    unpack(root, pictures)
    unpack(root / "annotations", annotations)
    return root


def archives(root):
    pictures, annotations = originals()
    pack(root / "mirflickr25k.zip", pictures)
    pack(root / ANNOTATIONS_ZIP, annotations)
    return root


def mixture(root):
    pictures, annotations = originals()
    unpack(root, pictures)
    pack(root / ANNOTATIONS_ZIP, annotations)
    return root


def nested(root):
    pictures, annotations = originals()
    unpack(root / "flickr25k", pictures)
    unpack(root / "flickr25k" / "mirflickr25k_annotations_v080", annotations)
    return root


def nested_archives(root):
    pictures, annotations = originals()
    pack(root / "downloads" / "mirflickr25k.zip", pictures)
    pack(root / "downloads" / ANNOTATIONS_ZIP, {f"annotations/{name}": data for name, data in annotations.items()})
    return root


def half_unpacked(root):
    pictures, annotations = originals()
    unpack(root, dict(list(pictures.items())[:4]))
    pack(root / "mirflickr25k.zip", pictures)
    pack(root / ANNOTATIONS_ZIP, annotations)
    return root


def flat(root):
    pictures, annotations = originals()
    unpack(root, {name.removeprefix("mirflickr/"): data for name, data in pictures.items()} | annotations)
    return root


def module_of(root, protocol="uni", **options):
    module = FLICKR25K(
        str(root),
        protocol,
        splits=SplitSizes(query=2, val=1, train=3),
        loader=Loading(batch_size=2),
        cache_dir=str(root.parent / f"cache-{root.name}"),
        **options,
    )
    module.prepare_data()
    module.setup()
    return module


def read(root, protocol="uni"):
    return MirFlickr().read(root, FLICKR25K.protocols[protocol])


def labels_of(source):
    names = np.array(source.class_names)
    return {int(i): set(names[row == 1]) for i, row in zip(source.ids, source.labels, strict=True)}


@pytest.fixture
def root(tmp_path):
    return folder(tmp_path / "data")


def test_uni_keeps_every_picture_in_order_of_its_number(root):
    source = module_of(root).source
    assert source.ids == tuple(str(number) for number in sorted(LABELS))
    assert source.labels.shape == (11, 38)
    assert labels_of(source) == {number: set(names.split()) for number, names in LABELS.items()}
    assert source.class_names == tuple(sorted(source.class_names))
    assert source.facts["notes"] == "1 items have no label"


def test_cross_keeps_what_has_a_label_and_a_common_tag(root):
    source = module_of(root, "cross").source
    assert source.ids == tuple(map(str, CROSS))
    assert source.labels.shape == (7, 24)
    wanted = {number: {name for name in LABELS[number].split() if not name.endswith("_r1")} for number in CROSS}
    assert labels_of(source) == wanted
    assert "4 items without" in source.facts["notes"]


def test_all_tags_are_kept_in_their_order(root):
    source = module_of(root, "cross").source
    assert [source.tags(row) for row in range(7)] == [tuple(TAGS[number].split()) for number in CROSS]
    uni = module_of(root).source
    assert uni.tags(1) == ()
    assert uni.caption(1) is None
    assert uni.caption(0) == "harbour café"


def test_the_vocabulary_is_named_relative_to_the_root(tmp_path):
    assert module_of(folder(tmp_path / "a")).source.facts["vocabulary"] == "mirflickr/doc/common_tags.txt"
    packed = module_of(archives(tmp_path / "b")).source
    place = packed.facts["vocabulary"]
    assert place == "mirflickr25k.zip/mirflickr/doc/common_tags.txt"
    assert parse_vocabulary(packed.pictures.read_bytes(place).decode(), place) == VOCABULARY


def test_every_row_shows_its_own_picture(root):
    source = module_of(root).source
    for row, number in enumerate(sorted(LABELS)):
        image = source.image(row)
        assert image.shape == ((3, 22, 31) if number % 2 else (3, 27, 19))
        if number != 101:
            expected = torch.tensor(colour(number)).float()
            torch.testing.assert_close(image.float().mean((1, 2)), expected, atol=3, rtol=0)
    grey = source.image(source.ids.index("101"))
    assert torch.equal(grey[0], grey[2])


@pytest.mark.parametrize("protocol", ["uni", "cross"])
@pytest.mark.parametrize("write", [archives, mixture, nested, nested_archives, half_unpacked, flat])
def test_every_form_is_the_same_data(tmp_path, root, write, protocol):
    one, other = module_of(root, protocol), module_of(write(tmp_path / "other"), protocol)
    assert other.fingerprint == one.fingerprint
    assert text_fingerprint(other.source, other._ready[1]) == text_fingerprint(one.source, one._ready[1]) != ""
    assert other.source.ids == one.source.ids


@pytest.mark.parametrize("write", [archives, half_unpacked])
def test_batches_from_archives_are_those_from_the_folder(tmp_path, root, write):
    one, other = module_of(root), module_of(write(tmp_path / "other"))
    for a, b in zip(one.test_dataloader()[1], other.test_dataloader()[1], strict=True):
        assert a.image.shape == (2, 3, 224, 224)
        assert a.ids == b.ids
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.label, b.label)


def test_two_protocols_have_two_fingerprints(root):
    assert module_of(root).fingerprint != module_of(root, "cross").fingerprint


def test_legacy_order_permutes_the_columns_only(root):
    legacy = module_of(root, class_order="legacy").source
    assert legacy.class_names[:6] == ("clouds", "sky", "lake", "tree", "indoor", "female_r1")
    assert legacy.class_names[-2:] == ("river", "female")
    assert labels_of(legacy) == labels_of(module_of(root).source)


def test_protocols_add_up_to_the_tables_of_the_paper():
    uni, cross = FLICKR25K.protocols.values()
    assert (len(uni.class_names), len(cross.class_names)) == (38, 24)
    assert (uni.items - uni.sizes.query, cross.items - cross.sizes.query) == (23300, 18015)
    assert sorted(uni.legacy_class_names) == list(uni.class_names)
    assert cross.class_names == tuple(name for name in uni.class_names if not name.endswith("_r1"))


def test_another_number_of_items_is_reported(root):
    with pytest.warns(UserWarning, match=r"11 items, the protocol flickr25k/uni has 25000 \(Table 5"):
        module_of(root)


@pytest.mark.parametrize(
    "text", ["harbour\r\nmacro\r\n2007\r\nüber\r\n", "\ufeffharbour 9\r\nmacro 8\r\n2007 7\r\nüber 6"]
)
def test_copies_of_the_vocabulary(root, text):
    (root / "mirflickr/doc/common_tags.txt").write_bytes(text.encode())
    assert read(root, "cross").ids == tuple(map(str, CROSS))


def test_a_vocabulary_without_its_tags_keeps_nothing(root):
    (root / "mirflickr/doc/common_tags.txt").write_text("nothing 3\n")
    with pytest.raises(DataError, match="no items found"):
        read(root, "cross")


def test_hidden_files_of_other_systems_are_no_annotations(root):
    unpack(root, {"__MACOSX/annotations/sky.txt": b"\x00\x05\x16", "annotations/._sky.txt": b"\x00\x05\x16"})
    unpack(root, {"mirflickr/._im1.jpg": b"\x00", ".thumbnails/im1.jpg": b"\x00"})
    assert len(read(root).ids) == 11


def test_annotations_of_windows_are_read(root):
    place = root / "annotations/sky.txt"
    place.write_bytes(b"\xef\xbb\xbf" + place.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert np.array_equal(read(root).labels[:, CONCEPTS.index("sky")], [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])


def test_uni_needs_no_tags(root, tmp_path):
    pictures, annotations = originals()
    bare = tmp_path / "bare"
    unpack(bare, {name: data for name, data in pictures.items() if name.endswith(".jpg")} | annotations)
    assert read(bare).tags is None
    assert module_of(bare).fingerprint == module_of(root).fingerprint
    with pytest.raises(DataError, match=r"bare: no doc/common_tags\.txt"):
        read(bare, "cross")


def test_cross_needs_the_tags_of_items(root):
    for place in (root / "mirflickr/meta/tags").iterdir():
        place.unlink()
    with pytest.raises(DataError, match=r"no meta/tags/tags1\.txt"):
        read(root, "cross")


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
