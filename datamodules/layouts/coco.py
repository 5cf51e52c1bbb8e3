"""MS-COCO as its consortium publishes it: pictures and JSON annotations of 2014 or 2017, unpacked or zipped."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from datamodules.catalogue import Catalogue
from datamodules.layouts.archives import Files, list_files
from datamodules.layouts.base import Layout
from datamodules.protocol import Protocol
from datamodules.source import DataError
from datamodules.stores import PictureStore

YEARS = ("2014", "2017")
PARTS = ("train", "val")
ARCHIVE = re.compile(r"(?:annotations_trainval|train|val)20(?:14|17)\.zip")
PICTURE = re.compile(r"(?:.*/)?(?:train|val)20(?:14|17)(?:\.zip)?/(?:COCO_(?:train|val)2014_)?([0-9]{12})\.jpg")
ANNOTATION = re.compile(r"(?:.*/)?((?:instances|captions)_(?:train|val)20(?:14|17))\.json")

# Everything else, outlines above all, would take gigabytes of memory.
FIELDS = frozenset({"images", "annotations", "categories", "id", "image_id", "category_id", "name", "caption"})


class Coco(Layout):
    """Reads the archives of https://cocodataset.org; 2014 and 2017 hold the same 123,287 pictures.

    Pictures, labels and captions are joined by picture number, never by file name. Pictures without an
    annotated object have no label: ``uni`` leaves them out, ``cross`` keeps them. Items ascend by picture number, the
    captions of an item by caption number. Protocol ``cross`` needs the captions, ``uni`` does without.
    """

    title: ClassVar[str] = (
        "MS-COCO originals (train2014 and val2014, or train2017 and val2017, with annotations/instances_*.json "
        "and captions_*.json; folders or zip archives)"
    )

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Look for instances; a damaged archive of annotations counts, so that it is named."""
        del protocol
        files = list_files(root, ARCHIVE)
        damaged = any("annotations_trainval" in archive for archive in files.broken)
        return damaged or any(name.startswith("instances_") for name in _annotations(files))

    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read pictures, labels and captions; see :meth:`Layout.read`."""
        files, store = list_files(root, ARCHIVE), PictureStore(root)
        year, places = _choose(root, files, protocol)
        class_names, parts = _instances(store, [places[f"instances_{part}{year}"] for part in PARTS], protocol)
        labels = parts[0] | parts[1]
        captions = [places[name] for part in PARTS if (name := f"captions_{part}{year}") in places]
        sentences = read_captions(store, captions, labels)
        unlabelled = {image for image, label in labels.items() if not label.any()}
        kept = sorted(labels if protocol.name == "cross" else labels.keys() - unlabelled)
        fate = "kept" if protocol.name == "cross" else "left out"
        pictures = _pictures(files)
        if files.broken and not pictures.keys() >= set(kept):
            raise DataError(f"{root}: pictures are missing; {'; '.join(files.broken)}")
        paths = [pictures.get(image) or _usual(image, PARTS[image in parts[1]], year) for image in kept]
        return Catalogue(
            name="mscoco",
            class_names=class_names,
            ids=tuple(map(protocol.item_id, paths)),
            labels=np.array([labels[image] for image in kept], dtype=np.uint8).reshape(-1, len(class_names)),
            paths=tuple(paths),
            sentences=[sentences.get(image, []) for image in kept] if captions else None,
            facts={
                "label_source": f"instances of MS-COCO {year}",
                "notes": f"{len(unlabelled)} images without instances are {fate}",
            },
        )


def read_json(store: PictureStore, path: str) -> object:
    """Return a JSON document, reduced to the fields that the readers use.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    data = store.read_bytes(path)
    try:
        return json.loads(data, object_hook=lambda found: {key: found[key] for key in FIELDS & found.keys()})
    except (ValueError, RecursionError) as error:
        raise DataError(f"{store.root / path}: not valid JSON ({error})") from error


def records(document: object, section: str, kinds: Mapping[str, type], place: Path) -> list[tuple[Any, ...]]:
    """Return the fields ``kinds`` of all records of one section.

    Raises:
        DataError: the section is no list, or a record lacks a field of that type; the message counts from 0.
    """
    found = document.get(section) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise DataError(f"{place}: no list {section!r}")
    for number, record in enumerate(found):
        for name, kind in kinds.items():
            if not isinstance(record, dict) or type(record.get(name)) is not kind:
                raise DataError(f"{place}: {section}[{number}] has no {name!r} of type {kind.__name__}")
    return [tuple(record[name] for name in kinds) for record in found]


def read_instances(store: PictureStore, path: str, protocol: Protocol) -> tuple[tuple[str, ...], dict[int, np.ndarray]]:
    """Read the labels of one ``instances_*.json``.

    Returns:
        ``C`` class names by ascending category id, which has gaps, and uint8 ``(C,)`` labels of every image; zero
        without an instance. Crowds count.

    Raises:
        DataError: a malformed file, other classes than the protocol's, an unknown or repeated image.
    """
    document, place = read_json(store, path), store.root / path
    names: dict[int, str] = dict(sorted(records(document, "categories", {"id": int, "name": str}, place)))
    if sorted(names.values()) != sorted(protocol.class_names):
        other = sorted(set(names.values()) ^ set(protocol.class_names)) or "a name twice"
        raise DataError(f"{place}: categories are not the {len(protocol.class_names)} of MS-COCO: {other}")
    rank = {category: column for column, category in enumerate(names)}
    labels: dict[int, np.ndarray] = {}
    for number, (image,) in enumerate(records(document, "images", {"id": int}, place)):
        if image in labels:
            raise DataError(f"{place}: images[{number}]: image {image} is listed twice")
        labels[image] = np.zeros(len(rank), dtype=np.uint8)
    annotations = records(document, "annotations", {"image_id": int, "category_id": int}, place)
    for number, (image, category) in enumerate(annotations):
        if image not in labels or category not in rank:
            what = f"image {image}" if image not in labels else f"category {category}"
            raise DataError(f"{place}: annotations[{number}]: unknown {what}")
        labels[image][rank[category]] = 1
    return tuple(names.values()), labels


def read_captions(store: PictureStore, paths: list[str], images: Container[int]) -> dict[int, list[str]]:
    """Read ``captions_*.json``: captions by image, by ascending caption id, without surrounding blanks.

    Raises:
        DataError: a malformed file, or a caption of an image that is not in ``images``.
    """
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for path in paths:
        place = store.root / path
        kinds = {"image_id": int, "id": int, "caption": str}
        for number, (image, key, caption) in enumerate(records(read_json(store, path), "annotations", kinds, place)):
            if image not in images:
                raise DataError(f"{place}: annotations[{number}]: no instances file knows image {image}")
            if re.search("[\ud800-\udfff]", caption):
                raise DataError(f"{place}: annotations[{number}]: half of a surrogate pair is no character")
            if caption := caption.strip():
                found[image].append((key, caption))
    return {image: [caption for _, caption in sorted(captions)] for image, captions in found.items()}


def _instances(
    store: PictureStore, paths: list[str], protocol: Protocol
) -> tuple[tuple[str, ...], list[dict[int, np.ndarray]]]:
    (names, train), (other, val) = (read_instances(store, path, protocol) for path in paths)
    if names != other:
        raise DataError(f"{store.root / paths[1]}: category ids differ from those of {paths[0]}")
    if twice := train.keys() & val.keys():
        raise DataError(f"{store.root / paths[1]}: image {min(twice)} is also in {paths[0]}")
    return names, [train, val]


def _choose(root: Path, files: Files, protocol: Protocol) -> tuple[str, dict[str, str]]:
    """Return the first year whose annotations are all there, and the paths of the annotation files."""
    places = _annotations(files)
    kinds = ("instances", "captions") if protocol.name == "cross" else ("instances",)
    for year in YEARS:
        captions = [f"captions_{part}{year}" in places for part in PARTS]
        if all(f"{kind}_{part}{year}" in places for kind in kinds for part in PARTS) and all(captions) == any(captions):
            return year, places
    wanted = " and ".join(f"{kind}_{{train,val}}2014.json" for kind in kinds)
    wanted += "" if "captions" in kinds else " (captions for both parts or for none)"
    found = ", ".join(f"{name}.json" for name in sorted(places)) or "none"
    raise DataError("; ".join((f"{root}: expected {wanted}, or those of 2017; found {found}", *files.broken)))


def _annotations(files: Files) -> dict[str, str]:
    matches = [match for path in files.paths if (match := ANNOTATION.fullmatch(path))]
    return {match[1]: match[0] for match in reversed(matches)}  # files come before members of archives, and win


def _pictures(files: Files) -> dict[int, str]:
    matches = [match for path in files.paths if (match := PICTURE.fullmatch(path))]
    return {int(match[1]): match[0] for match in reversed(matches)}


def _usual(image: int, part: str, year: str) -> str:
    prefix = f"COCO_{part}{year}_" if year == "2014" else ""
    return f"{part}{year}/{prefix}{image:012d}.jpg"
