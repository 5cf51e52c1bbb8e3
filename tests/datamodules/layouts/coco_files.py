"""Small copies of MS-COCO's files, in every form that they take on a disk, and how tests read them."""

from __future__ import annotations

import io
import json

from PIL import Image

from datamodules import Loading, SplitSizes
from datamodules.layouts.coco import Coco
from datamodules.mscoco import MSCOCO
from tests.datamodules.layouts.writing import pack, unpack

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


def change(root, name, edit):
    """Edit one JSON document in place."""
    place = root / "annotations" / name
    document = json.loads(place.read_text())
    edit(document)
    place.write_text(json.dumps(document))


def one(section, **fields):
    return lambda document: document[section][1].update(fields)
