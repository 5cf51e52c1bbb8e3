"""MS-COCO as it is published, with the names of 2014 and of 2017, in folders and archives."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import DataError, Loading, SplitSizes
from datamodules.layouts.coco import Coco, read_captions, read_instances
from datamodules.manifest import text_fingerprint
from datamodules.mscoco import MSCOCO
from datamodules.stores import PictureStore

pytestmark = pytest.mark.filterwarnings("ignore:.*items, the protocol mscoco")

GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
# In the order of their ids.
NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)  # fmt: skip
CATEGORIES = dict(zip(NAMES, (i for i in range(1, 91) if i not in GAPS), strict=True))

# By number: objects, and captions with their numbers. Picture 25 has no object.
OBJECTS = {
    1: ["bowl", "bowl", "person"], 2: ["toothbrush"], 9: ["hair drier", "zebra"], 13: ["person"], 25: [],
    90: ["stop sign", "parking meter"], 581929: ["cat"],
}  # fmt: skip
CAPTIONS = {
    1: [(661, "A bowl on a table. "), (70, "Someone eats.\n"), (662, "Café."), (800, "A"), (801, "B"), (9, "First")],
    2: [(5, "A toothbrush")], 9: [(6, "Drier"), (4, "Zebra")], 13: [(11, "Nobody")], 25: [(12, "Grass")],
    90: [(13, "Signs"), (14, "  ")], 581929: [(15, "Cat")],
}  # fmt: skip
IN_VAL = {"2014": {2, 13, 25, 581929}, "2017": {13}}
LABELLED = ("1", "2", "9", "13", "90", "581929")


def colour(number):
    return number * 7 % 256, number // 256 % 256, 200 - number % 100


def jpeg(number):
    picture = Image.new("RGB", (34, 21) if number % 2 else (18, 26), colour(number))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def file_name(number, part, year):
    return f"COCO_{part}2014_{number:012d}.jpg" if year == "2014" else f"{number:012d}.jpg"


def documents(part, year):
    """The instances and captions of one part as they are published, outlines and all."""
    inside = [number for number in reversed(OBJECTS) if (number in IN_VAL[year]) == (part == "val")]
    head = {
        "info": {"year": 2014, "version": "1.0"},
        "licenses": [{"id": 1, "name": "Attribution", "url": "http://creativecommons.org/licenses/by/2.0/"}],
        "images": [{"id": n, "file_name": file_name(n, part, year), "height": 21, "width": 34} for n in inside],
    }
    instances = [
        {"id": 1000 * n + k, "image_id": n, "category_id": CATEGORIES[name], "iscrowd": k % 2, "bbox": [1, 2.5, 3, 4],
         "segmentation": {"counts": [7, 3], "size": [21, 34]} if k % 2 else [[1.5, 2.5, 3.0, 4.0]]}
        for n in inside
        for k, name in enumerate(OBJECTS[n])
    ]  # fmt: skip
    captions = [{"image_id": n, "id": key, "caption": text} for n in inside for key, text in CAPTIONS[n]]
    categories = [{"id": i, "name": name, "supercategory": "thing"} for name, i in reversed(CATEGORIES.items())]
    return head | {"annotations": instances, "categories": categories}, head | {"annotations": captions}


def originals(year):
    """What the archives hold, by the archive's name without its suffix."""
    annotations, found = {}, {}
    for part in ("train", "val"):
        for kind, document in zip(("instances", "captions"), documents(part, year), strict=True):
            annotations[f"annotations/{kind}_{part}{year}.json"] = json.dumps(document).encode()
        inside = [number for number in OBJECTS if (number in IN_VAL[year]) == (part == "val")]
        found[f"{part}{year}"] = {f"{part}{year}/{file_name(n, part, year)}": jpeg(n) for n in inside}
    return found | {f"annotations_trainval{year}": annotations}


def unpack(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def pack(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def folder(root, year="2014"):
    for files in originals(year).values():
        unpack(root, files)
    return root


def archives(root, year="2014"):
    for name, files in originals(year).items():
        pack(root / f"{name}.zip", files)
    return root


def folder_2017(root):
    return folder(root, "2017")


def archives_2017(root):
    return archives(root, "2017")


def nested(root):
    folder(root / "coco")
    return root


def both_years(root):
    return folder(folder(root, "2017"))


def mixture(root):
    """Annotations of 2014, of the pictures of 2017 one part unpacked."""
    unpack(root, originals("2014")["annotations_trainval2014"])
    unpack(root / "images", originals("2017")["val2017"])
    pack(root / "images" / "train2017.zip", originals("2017")["train2017"])
    return root


def pictures_in_one_folder_each(root):
    """Archives made anew, without a folder inside."""
    archives(root)
    for part in ("train2014", "val2014"):
        pack(root / f"{part}.zip", {name.partition("/")[2]: data for name, data in originals("2014")[part].items()})
    return root


def module_of(root, protocol="uni", **options):
    module = MSCOCO(
        str(root),
        protocol,
        splits=SplitSizes(query=2, val=1, train=2),
        loader=Loading(batch_size=2),
        cache_dir=str(root.parent / f"cache-{root.name}"),
        **options,
    )
    module.prepare_data()
    module.setup()
    return module


def read(root, protocol="uni"):
    return Coco().read(root, MSCOCO.protocols[protocol])


def labels_of(source):
    return {
        int(image): {name for name, value in zip(source.class_names, row, strict=True) if value}
        for image, row in zip(source.ids, source.labels, strict=True)
    }


@pytest.fixture
def root(tmp_path):
    return folder(tmp_path / "data")


def change(root, name, edit):
    """Edit one JSON document in place."""
    place = root / "annotations" / name
    document = json.loads(place.read_text())
    edit(document)
    place.write_text(json.dumps(document))


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


@pytest.mark.parametrize(
    "content", [b"", b'{"images": [', b"\xff\xfe\xfa", b"[" * 100_000, b"9" * 5000, b'{"a": "\xe9"}']
)
def test_malformed_json_is_named(root, content):
    (root / "annotations/instances_val2014.json").write_bytes(content)
    with pytest.raises(DataError, match=r"annotations/instances_val2014\.json: not valid JSON"):
        read(root)


def one(section, **fields):
    return lambda document: document[section][1].update(fields)


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


def test_protocols_add_up_to_the_tables_of_the_paper():
    uni, cross = MSCOCO.protocols.values()
    assert uni.items - uni.sizes.query == 117_218
    assert cross.items - cross.sizes.query == 121_287
    assert list(uni.class_names) == sorted(NAMES)


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
