"""Records of MS-COCO that are malformed, and any document in their place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules import DataError
from datamodules.layouts.coco import read_captions, read_instances
from datamodules.mscoco import MSCOCO
from datamodules.stores import PictureStore
from tests.datamodules.layouts.coco_files import change, folder, one, read

pytestmark = pytest.mark.filterwarnings("ignore:.*items, the protocol mscoco")


@pytest.fixture
def root(tmp_path):
    return folder(tmp_path / "data")


@pytest.mark.parametrize(
    "content", [b"", b'{"images": [', b"\xff\xfe\xfa", b"[" * 100_000, b"9" * 5000, b'{"a": "\xe9"}']
)
def test_malformed_json_is_named(root, content):
    (root / "annotations/instances_val2014.json").write_bytes(content)
    with pytest.raises(DataError, match=r"annotations/instances_val2014\.json: not valid JSON"):
        read(root)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (one("annotations", image_id=7), r"annotations\[1\]: unknown image 7"),
        (one("annotations", category_id=12), r"annotations\[1\]: unknown category 12"),
        (one("annotations", image_id="9"), r"annotations\[1\] has no 'image_id' of type int"),
        (one("annotations", category_id=True), r"annotations\[1\] has no 'category_id' of type int"),
        (one("images", id=None), r"images\[1\] has no 'id' of type int"),
        (one("images", id=90), r"images\[1\]: image 90 is listed twice"),
        (one("categories", name="Person"), r"not the 80 of MS-COCO: \['Person', "),
        (one("categories", id=1), "categories are not the 80"),
        (lambda document: document.pop("categories"), "no list 'categories'"),
        (lambda document: document.update(images={}), "no list 'images'"),
        (lambda document: document["images"].insert(0, 9), r"images\[0\] has no 'id'"),
    ],
)
def test_a_malformed_record_is_named(root, edit, message):
    change(root, "instances_train2014.json", edit)
    with pytest.raises(DataError, match=rf"annotations/instances_train2014\.json: .*{message}"):
        read(root)


def test_a_picture_in_both_parts_is_named(root):
    change(root, "instances_val2014.json", lambda document: document["images"].append({"id": 90}))
    with pytest.raises(
        DataError, match=r"instances_val2014\.json: image 90 is also in annotations/instances_train2014"
    ):
        read(root)


def test_category_ids_that_differ_between_parts_are_refused(root):
    def swap(document):
        first, second = document["categories"][:2]
        first["name"], second["name"] = second["name"], first["name"]

    change(root, "instances_val2014.json", swap)
    with pytest.raises(DataError, match=r"instances_val2014\.json: category ids differ"):
        read(root)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"image_id": 7}, "image 7"), ({"caption": None}, "'caption' of type str"), ({"caption": "\ud800"}, "surrogate")],
)
def test_a_malformed_caption_is_named(root, fields, message):
    change(root, "captions_train2014.json", one("annotations", **fields))
    with pytest.raises(DataError, match=rf"captions_train2014\.json: annotations\[1\].*{message}"):
        read(root, "cross")


VALUES = st.sampled_from([0, 1, -1, 2.5, True, None, "", " a\n", "\ud800", [], {}])
RECORDS = VALUES | st.dictionaries(st.sampled_from(["id", "image_id", "caption", "category_id", "name"]), VALUES)
CAPTION = st.fixed_dictionaries({"image_id": st.integers(0, 3), "id": st.integers(), "caption": st.text(max_size=3)})
SECTIONS = st.lists(RECORDS, max_size=2) | st.lists(CAPTION, max_size=3)
DOCUMENTS = VALUES | st.dictionaries(st.sampled_from(["images", "annotations", "categories"]), SECTIONS)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
def test_no_document_crashes_a_reader(tmp_path_factory, document):
    place = tmp_path_factory.getbasetemp() / "document.json"
    place.write_text(json.dumps(document))
    store = PictureStore(place.parent)
    with pytest.raises(DataError, match=r"document\.json: "):
        read_instances(store, place.name, MSCOCO.protocols["uni"])
    try:
        found = read_captions(store, [place.name], {0, 1, 2})
    except DataError:
        return
    texts = [(c["id"], c["caption"].strip()) for c in document["annotations"] if c["image_id"] == 1]
    assert found.get(1, []) == [text for _, text in sorted(texts) if text]
