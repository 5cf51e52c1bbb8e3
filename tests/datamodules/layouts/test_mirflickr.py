"""MIRFLICKR-25K as it is published, in every form that its two archives take on a disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datamodules import DataError
from datamodules.flickr25k import FLICKR25K
from datamodules.layouts.mirflickr import parse_vocabulary
from datamodules.manifest import text_fingerprint
from tests.datamodules.layouts.mirflickr_files import (
    CONCEPTS,
    CROSS,
    LABELS,
    TAGS,
    VOCABULARY,
    archives,
    colour,
    flat,
    folder,
    half_unpacked,
    labels_of,
    mixture,
    module_of,
    nested,
    nested_archives,
    originals,
    read,
)
from tests.datamodules.layouts.writing import unpack

pytestmark = pytest.mark.filterwarnings("ignore:.*items, the protocol flickr25k")


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
