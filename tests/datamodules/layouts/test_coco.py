"""MS-COCO as it is published, with the names of 2014 and of 2017, in folders and archives."""

from __future__ import annotations

import pytest
import torch

from datamodules import DataError
from datamodules.layouts.coco import Coco
from datamodules.manifest import text_fingerprint
from datamodules.mscoco import MSCOCO
from tests.datamodules.layouts.coco_files import (
    LABELLED,
    NAMES,
    OBJECTS,
    archives,
    archives_2017,
    both_years,
    change,
    colour,
    folder,
    folder_2017,
    labels_of,
    mixture,
    module_of,
    nested,
    pictures_in_one_folder_each,
    read,
)
from tests.datamodules.layouts.writing import unpack

pytestmark = pytest.mark.filterwarnings("ignore:.*items, the protocol mscoco")


@pytest.fixture
def root(tmp_path):
    return folder(tmp_path / "data")


def test_pictures_with_an_instance_are_kept_in_order_of_their_number(root):
    source = module_of(root, "uni").source
    assert source.ids == LABELLED
    assert source.labels.shape == (6, 80)
    assert labels_of(source) == {number: set(names) for number, names in OBJECTS.items() if names}
    assert source.facts["notes"] == "1 images without instances are left out"


def test_cross_keeps_pictures_without_an_instance(root):
    source = module_of(root, "cross").source
    assert source.ids == ("1", "2", "9", "13", "25", "90", "581929")
    assert labels_of(source) == {number: set(names) for number, names in OBJECTS.items()}
    assert source.facts["notes"] == "1 images without instances are kept"


def test_columns_are_alphabetical_and_the_files_order_is_that_of_the_category_ids(root):
    catalogue = read(root)
    assert catalogue.class_names == tuple(NAMES)
    names = module_of(root).class_names
    assert names == tuple(sorted(NAMES))
    assert (names.index("person"), names.index("hair drier")) == (49, 35)
    assert module_of(root, class_order="legacy").class_names == names


def test_captions_are_in_order_of_their_number_without_blanks(root):
    source = module_of(root, "cross").source
    assert source.sentences(0) == (
        "First", "Someone eats.", "A bowl on a table.", "Café.", "A", "B",
    )  # fmt: skip
    assert source.sentences(2) == ("Zebra", "Drier")
    assert source.sentences(5) == ("Signs",)
    assert source.caption(2) == "Zebra Drier"


def test_every_row_shows_its_own_picture(root):
    source = module_of(root).source
    for row, number in enumerate(map(int, LABELLED)):
        image = source.image(row)
        assert image.shape == ((3, 21, 34) if number % 2 else (3, 26, 18))
        expected = torch.tensor(colour(number)).float()
        torch.testing.assert_close(image.float().mean((1, 2)), expected, atol=3, rtol=0)


FORMS = [archives, folder_2017, archives_2017, nested, both_years, mixture, pictures_in_one_folder_each]


@pytest.mark.parametrize("write", FORMS)
def test_every_form_is_the_same_data(tmp_path, root, write):
    one, other = module_of(root, "cross"), module_of(write(tmp_path / "other"), "cross")
    assert other.fingerprint == one.fingerprint
    assert text_fingerprint(other.source, other._ready[1]) == text_fingerprint(one.source, one._ready[1]) != ""
    assert other.source.ids == one.source.ids


@pytest.mark.parametrize("write", [archives, archives_2017, mixture])
def test_batches_from_archives_are_those_from_the_folder(tmp_path, root, write):
    one, other = module_of(root), module_of(write(tmp_path / "other"))
    for a, b in zip(one.test_dataloader()[1], other.test_dataloader()[1], strict=True):
        assert a.image.shape == (2, 3, 224, 224)
        assert a.ids == b.ids
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.label, b.label)
        assert a.captions == b.captions


def test_file_names_in_the_annotations_do_not_matter(root):
    def shift(document):
        names = [image["file_name"] for image in document["images"]]
        for image, name in zip(document["images"], names[1:] + names[:1], strict=True):
            image["file_name"] = name

    before = read(root)
    change(root, "instances_train2014.json", shift)
    assert read(root).paths == before.paths


def test_uni_does_without_captions_and_cross_does_not(root):
    for place in (root / "annotations").glob("captions_*"):
        place.unlink()
    assert read(root).sentences is None
    with pytest.raises(DataError, match=r"captions_\{train,val\}2014\.json, or .* found instances_train2014\.json"):
        read(root, "cross")


def test_captions_of_one_part_only_are_refused(root):
    (root / "annotations/captions_val2014.json").unlink()
    with pytest.raises(DataError, match="captions for both parts or for none"):
        read(root)


def test_instances_of_one_part_only_are_refused(root):
    (root / "annotations/instances_val2014.json").unlink()
    with pytest.raises(DataError, match=r"expected instances_\{train,val\}2014\.json"):
        module_of(root)


def test_a_year_that_is_complete_goes_before_one_that_is_not(tmp_path):
    root = both_years(tmp_path / "data")
    (root / "annotations/instances_val2014.json").unlink()
    assert read(root).ids == LABELLED
    assert read(root).facts["label_source"] == "instances of MS-COCO 2017"


def test_missing_pictures_are_listed_or_left_out(root):
    (root / "train2014/COCO_train2014_000000000009.jpg").unlink()
    with pytest.raises(DataError, match=r"(?s)1 of 6 pictures are missing.*train2014/COCO_train2014_000000000009\.jpg"):
        module_of(root)
    assert module_of(root, missing="skip").source.ids == ("1", "2", "13", "90", "581929")


@pytest.mark.parametrize("archive", ["annotations_trainval2014.zip", "val2014.zip"])
def test_an_archive_that_came_down_in_part_is_named(tmp_path, archive):
    root = archives(tmp_path / "data")
    (root / archive).write_bytes((root / archive).read_bytes()[:900])
    with pytest.raises(DataError, match=rf"{archive} cannot be opened \(File is not a zip file\)"):
        module_of(root)


def test_other_folders_of_pictures_are_not_taken(root):
    unpack(root, {"test2014/COCO_test2014_000000000009.jpg": b"", "aaa/000000000009.jpg": b"", "train2014/9.jpg": b""})
    assert read(root).paths[2] == "train2014/COCO_train2014_000000000009.jpg"


def test_a_folder_of_something_else_is_not_recognised(tmp_path):
    unpack(tmp_path, {"train2014/COCO_train2014_000000000009.jpg": b"", "train.txt": b"", "train2014.zip": b"broken"})
    assert not Coco().recognise(tmp_path, MSCOCO.protocols["uni"])
    with pytest.raises(DataError, match=r"no known layout of mscoco \(uni\)"):
        MSCOCO(str(tmp_path)).prepare_data()


def test_protocols_add_up_to_the_tables_of_the_paper():
    uni, cross = MSCOCO.protocols.values()
    assert uni.items - uni.sizes.query == 117_218
    assert cross.items - cross.sizes.query == 121_287
    assert list(uni.class_names) == sorted(NAMES)
