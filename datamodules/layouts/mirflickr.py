"""MIRFLICKR-25K as LIACS publishes it: pictures, tags and annotations, unpacked or zipped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.catalogue import Catalogue
from datamodules.layouts.archives import Files, list_files
from datamodules.layouts.base import Layout
from datamodules.protocol import Protocol
from datamodules.source import DataError
from datamodules.stores import PictureStore

COUNT = 25_000  # pictures are numbered 1 to 25000

ARCHIVE = re.compile(r"mirflickr.*\.zip")
PICTURE = re.compile(r"(?:.*/)?im([1-9][0-9]{0,4})\.jpg")
TAGS = re.compile(r"(?:.*/)?tags/tags([1-9][0-9]{0,4})\.txt")
VOCABULARY = re.compile(r"(?:.*/)?(common_tags)\.txt")


def read_text(store: PictureStore, path: str) -> str:
    """Return a UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: it cannot be read, or is no UTF-8.
    """
    data = store.read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{store.root / path}: not UTF-8 text ({error})") from error


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield ``(number, line)`` of the lines that are not blank, without surrounding blanks, whatever ends them."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if line := line.strip():
            yield number, line


def parse_annotation(text: str, name: str) -> set[int]:
    """Return the numbers of the pictures that show a concept.

    Args:
        text: one number per line, the first picture is 1.
        name: what messages call the file.

    Raises:
        DataError: a line is no number from 1 to 25000.
    """
    numbers = set()
    for line_number, line in numbered_lines(text):
        if not re.fullmatch(r"0*[1-9][0-9]{0,4}", line) or int(line) > COUNT:
            raise DataError(f"{name}, line {line_number}: {line[:40]!r}, expected a picture number from 1 to {COUNT}")
        numbers.add(int(line))
    return numbers


def parse_vocabulary(text: str, name: str) -> tuple[str, ...]:
    """Return the common tags in the order of their file, which is the axis of the 1386-d text features.

    Args:
        text: one ``tag count`` per line; some copies lost the count.
        name: what messages call the file.

    Raises:
        DataError: a line is neither ``tag count`` nor ``tag``, or repeats a tag.
    """
    tags: dict[str, int] = {}
    for number, line in numbered_lines(text):
        tag, *count = line.split()
        if len(count) > 1 or not all(re.fullmatch("[0-9]+", value) for value in count):
            raise DataError(f"{name}, line {number}: {line[:40]!r}, expected 'tag count'")
        if tag in tags:
            raise DataError(f"{name}, line {number}: tag {tag!r} is also in line {tags[tag]}")
        tags[tag] = number
    return tuple(tags)


class MirFlickr(Layout):
    """Reads the two archives of https://press.liacs.nl/mirflickr/, unpacked, zipped or mixed.

    Protocol ``uni`` keeps every picture. Protocol ``cross`` keeps those with a label and a common tag, as Jiang
    and Li do (Deep Cross-Modal Hashing, CVPR 2017). Items ascend by picture number and carry all their tags;
    ``facts["vocabulary"]`` is the path of the list of common tags.
    """

    title: ClassVar[str] = (
        "MIRFLICKR-25K originals (im1.jpg ..., meta/tags, doc/common_tags.txt and the annotation files, or "
        "mirflickr25k.zip and mirflickr25k_annotations_v080.zip)"
    )

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Look for pictures and annotations; a damaged archive counts as both, so that it is named."""
        files = list_files(root, ARCHIVE)
        return all(files.broken or files.fullest(pattern) for pattern in (PICTURE, _annotation(protocol)))

    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read pictures, labels and tags; see :meth:`Layout.read`."""
        files, store = list_files(root, ARCHIVE), PictureStore(root)
        pictures = _by_number(files.fullest(PICTURE))
        if not pictures:
            raise _absent(root, "pictures im1.jpg ...", files)
        shown = _annotations(files, store, protocol)
        tag_files = _by_number(files.fullest(TAGS))
        numbers = sorted(set(pictures).union(tag_files, *shown))
        folder = next(iter(pictures.values())).rpartition("/")[0]
        paths = [pictures.get(number) or f"{folder}/im{number}.jpg".lstrip("/") for number in numbers]
        catalogue = Catalogue(
            name="flickr25k",
            class_names=protocol.class_names,
            ids=tuple(map(protocol.item_id, paths)),
            labels=np.array([[number in concept for concept in shown] for number in numbers], dtype=np.uint8),
            paths=tuple(paths),
            tags=_tags(store, tag_files, numbers) if tag_files else None,
            facts={"label_source": f"{len(shown)} annotation files of MIRFLICKR-25K"},
        )
        return _select(catalogue, files, store, protocol)


def _select(catalogue: Catalogue, files: Files, store: PictureStore, protocol: Protocol) -> Catalogue:
    """Add the vocabulary, and for ``cross`` keep what has a label and one of its tags."""
    place = files.fullest(VOCABULARY).get("common_tags")
    facts = {} if place is None else {"vocabulary": place}
    labelled = catalogue.labels.any(axis=1)
    everything = np.arange(len(catalogue.ids))
    if protocol.name != "cross":
        return catalogue.select(everything, notes=f"{(~labelled).sum()} items have no label", **facts)
    if place is None:
        raise _absent(store.root, "doc/common_tags.txt of mirflickr25k.zip", files)
    if catalogue.tags is None:
        raise _absent(store.root, "meta/tags/tags1.txt ... of mirflickr25k.zip", files)
    common = set(parse_vocabulary(read_text(store, place), str(store.root / place)))
    tagged = np.array([not common.isdisjoint(tags) for tags in catalogue.tags])
    keep = labelled & tagged
    notes = f"{(~keep).sum()} items without a label or without one of {len(common)} common tags are left out"
    return catalogue.select(everything[keep], notes=notes, **facts)


def _annotations(files: Files, store: PictureStore, protocol: Protocol) -> list[set[int]]:
    found = files.fullest(_annotation(protocol))
    if absent := [f"{name}.txt" for name in protocol.class_names if name not in found]:
        raise _absent(store.root, f"annotations {', '.join(absent)} of mirflickr25k_annotations_v080.zip", files)
    places = [found[name] for name in protocol.class_names]
    return [parse_annotation(read_text(store, place), str(store.root / place)) for place in places]


def _tags(store: PictureStore, places: Mapping[int, str], numbers: Sequence[int]) -> list[list[str]]:
    absent = [number for number in numbers if number not in places]
    if absent:
        folder = next(iter(places.values())).rpartition("/")[0]
        raise DataError(
            f"{store.root / folder}: {len(absent)} of {len(numbers)} tag files are missing, the first is "
            f"tags{absent[0]}.txt"
        )
    return [[tag for _, tag in numbered_lines(read_text(store, places[number]))] for number in numbers]


def _annotation(protocol: Protocol) -> re.Pattern[str]:
    return re.compile(rf"(?:.*/)?({'|'.join(map(re.escape, protocol.class_names))})\.txt")


def _absent(root: Path, what: str, files: Files) -> DataError:
    return DataError("; ".join((f"{root}: no {what}", *files.broken)))


def _by_number(paths: Mapping[str, str]) -> dict[int, str]:
    return {int(number): path for number, path in paths.items()}
