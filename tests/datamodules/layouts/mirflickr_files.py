"""Small copies of MIRFLICKR-25K's files, in every form that they take on a disk, and how tests read them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from datamodules import Loading, SplitSizes
from datamodules.flickr25k import FLICKR25K
from datamodules.layouts.mirflickr import MirFlickr
from tests.datamodules.layouts.writing import pack, unpack

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
