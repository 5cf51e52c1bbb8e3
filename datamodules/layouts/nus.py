"""NUS-WIDE as the Lab for Media Search of the National University of Singapore gives it out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.catalogue import Catalogue
from datamodules.layouts.base import Layout
from datamodules.protocol import Protocol
from datamodules.source import DataError

LIST = ("Imagelist.txt", "ImageList.txt")
LABELS = ("AllLabels",)
Tags = list[tuple[str, ...]]


class NUSLayout(Layout):
    """The archives: image list, ground truth of 81 concepts, tags; pictures under any of their three names.

    Labels come from ``AllLabels``; ``TrainTestLabels``, whose ``Labels_lake_Train.txt`` is known to hold a value
    that is neither 0 nor 1, is never read. An item is a row of the image list with at least one concept of the
    protocol. A picture is looked up by its Flickr id, so ``<concept>/0001_2124494179.jpg``,
    ``images/0001_2124494179.jpg`` and HashNet's ``images/<n>_2124494179_<secret>_m.jpg`` all serve.

    Six photographs stand in the image list twice, some with different labels. Both rows are items; the second
    is called ``<flickr id>#<row>``, rows counted from 0, and ``keys`` tells that they show the same.
    """

    title: ClassVar[str] = (
        "NUS-WIDE archives (ImageList/Imagelist.txt, Groundtruth/AllLabels/Labels_<concept>.txt, optionally "
        "NUS_WID_Tags/, pictures <serial>_<flickr id>.jpg in any folder)"
    )

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Look for the image list and the labels."""
        del protocol
        return _find(root, LIST) is not None and _find(root, LABELS) is not None

    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read rows with at least one of the protocol's concepts; label columns are the protocol's.

        Raises:
            DataError: naming file and line, if a list is missing, has an unreadable line, or another number of
                lines than the image list.
        """
        list_path, label_folder = _need(root, LIST), _need(root, LABELS)
        entries = _image_list(list_path, protocol)
        labels = np.stack(
            [_label_column(label_folder / f"Labels_{name}.txt", len(entries)) for name in protocol.class_names], axis=1
        )
        rows = np.flatnonzero(labels.any(axis=1))
        if not len(rows):
            raise DataError(f"{label_folder}: no image has any of the {len(protocol.class_names)} concepts")
        flickr = [protocol.item_id(entry) for entry in entries]
        tags, text_facts = _tags(root, rows, flickr)
        ids = _distinct([flickr[row] for row in rows], rows)
        places = _places(root, protocol)
        paths = tuple(_best_place(entries[row], places.get(flickr[row], ())) for row in rows)
        facts = {"label_source": "AllLabels", **text_facts}
        if any(path.endswith("_m.jpg") for path in paths):
            facts["pictures"] = "Flickr's 240-pixel copies (names that end in _m.jpg)"
        return Catalogue(
            name="nuswide",
            class_names=protocol.class_names,
            ids=ids,
            labels=labels[rows],
            paths=paths,
            keys=None if protocol.key is None else tuple(map(protocol.key, ids)),
            tags=tags,
            facts=facts,
        )


def _find(root: Path, names: Sequence[str]) -> Path | None:
    """Return the first file or folder of one of these names in ``root`` or one folder below."""
    found = (path for pattern in ("", "*/") for name in names for path in sorted(root.glob(pattern + name)))
    return next(found, None)


def _need(root: Path, names: Sequence[str]) -> Path:
    found = _find(root, names)
    if found is None:
        raise DataError(f"{root}: no {names[0]} in it or in one of its folders")
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and stripped content of each line; blank lines may only end a file, elsewhere they shift rows."""
    blank = 0
    try:
        with path.open("rb") as handle:  # bytes: only b"\n" ends a line, a tag may hold U+0085 or U+2028
            for number, line in enumerate(handle, 1):
                content = line.strip()
                if not content:
                    blank = blank or number
                elif blank:
                    raise DataError(f"{path} line {blank}: blank, expected one row per image")
                else:
                    yield number, content
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _image_list(path: Path, protocol: Protocol) -> list[str]:
    r"""Read ``[C:\...\]actor\0001_2124494179.jpg`` per line to ``actor/0001_2124494179.jpg``."""
    entries = []
    for number, line in _lines(path):
        entry = "/".join(_decoded(line).replace("\\", "/").split("/")[-2:])
        flickr = protocol.item_id(entry)
        if not (flickr.isascii() and flickr.isdigit()):
            raise DataError(
                f"{path} line {number}: {_decoded(line[:80])!r}, expected a picture <concept>\\<serial>_<flickr id>.jpg"
            )
        entries.append(entry)
    if not entries:
        raise DataError(f"{path}: no lines")
    return entries


def _check_count(path: Path, found: int, count: int) -> None:
    if found != count:
        raise DataError(f"{path}: {found} lines, but the image list has {count}")


def _label_column(path: Path, count: int) -> np.ndarray:
    column = bytearray()
    for number, line in _lines(path):
        if line not in (b"0", b"1"):
            raise DataError(f"{path} line {number}: {_decoded(line[:40])!r}, expected 0 or 1")
        column.append(line == b"1")
    _check_count(path, len(column), count)
    return np.frombuffer(bytes(column), dtype=np.uint8)


def _distinct(flickr: Sequence[str], rows: np.ndarray) -> tuple[str, ...]:
    seen: set[str] = set()
    ids = []
    for name, row in zip(flickr, rows.tolist(), strict=True):
        ids.append(f"{name}#{row}" if name in seen else name)
        seen.add(name)
    return tuple(ids)


def _tags(root: Path, rows: np.ndarray, flickr: Sequence[str]) -> tuple[Tags | None, dict[str, str]]:
    """Read the tags of ``rows``: AllTags1k as DCMH does, or else All_Tags, which differs from it in 16 rows."""
    binary, words_path, free = (_find(root, (name,)) for name in ("AllTags1k.txt", "TagList1k.txt", "All_Tags.txt"))
    words = None if words_path is None else [_decoded(line) for _, line in _lines(words_path)]
    facts = {} if words_path is None else {"vocabulary": words_path.relative_to(root).as_posix()}
    if binary is not None and words is not None:
        return _binary_tags(binary, rows, words, len(flickr)), {"text_source": "AllTags1k, TagList1k"} | facts
    if free is None:
        return None, {"text_source": "none: neither AllTags1k with TagList1k nor All_Tags is there"}
    source = "All_Tags" if words is None else "All_Tags, words of TagList1k"
    return _free_tags(free, rows, words, flickr), {"text_source": source} | facts


def _binary_tags(path: Path, rows: np.ndarray, words: Sequence[str], count: int) -> Tags:
    wanted, tags, number = set(rows.tolist()), [], 0
    for number, line in _lines(path):
        if number - 1 not in wanted:
            continue
        values = line.split()
        if len(values) != len(words):
            raise DataError(f"{path} line {number}: {len(values)} values for {len(words)} words of TagList1k.txt")
        if not set(values) <= {b"0", b"1"}:
            wrong = next(value for value in values if value not in (b"0", b"1"))
            raise DataError(f"{path} line {number}: {_decoded(wrong[:40])!r}, expected 0 or 1")
        marks = np.frombuffer(b"".join(values), dtype=np.uint8) == ord("1")
        tags.append(tuple(words[place] for place in np.flatnonzero(marks).tolist()))
    _check_count(path, number, count)
    return tags


def _free_tags(path: Path, rows: np.ndarray, words: Sequence[str] | None, flickr: Sequence[str]) -> Tags:
    wanted, tags, number = set(rows.tolist()), [], 0
    place = None if words is None else {word: n for n, word in enumerate(words)}
    for number, line in _lines(path):
        name, *found = line.split()
        if number <= len(flickr) and _decoded(name) != flickr[number - 1]:
            raise DataError(
                f"{path} line {number}: Flickr id {_decoded(name)!r}, the image list has {flickr[number - 1]}"
            )
        if number - 1 in wanted:
            distinct = dict.fromkeys(map(_decoded, found))
            kept = distinct if place is None else sorted(distinct.keys() & place.keys(), key=place.__getitem__)
            tags.append(tuple(kept))
    _check_count(path, number, len(flickr))
    return tags


def _places(root: Path, protocol: Protocol) -> dict[str, list[str]]:
    """List the pictures below ``root`` by Flickr id; linked folders count, each folder once."""
    places: dict[str, list[str]] = defaultdict(list)
    seen = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, followlinks=True):
        folders.sort()
        real = {name: os.path.realpath(os.path.join(folder, name)) for name in folders}
        folders[:] = [name for name in folders if real[name] not in seen]
        seen |= set(real.values())
        inside = Path(folder).relative_to(root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        for name in sorted(names):
            if name.lower().endswith(".jpg"):
                places[protocol.item_id(name)].append(prefix + name)
    return places


def _best_place(entry: str, found: Sequence[str]) -> str:
    """Choose the picture with the entry's folder and name, or with its name, or with its Flickr id."""
    for ending in (f"/{entry}", f"/{entry.rpartition('/')[2]}"):
        for path in found:
            if f"/{path}".endswith(ending):
                return path
    return found[0] if found else entry
