"""The Wikipedia data set as the Statistical Visual Computing Lab (UC San Diego) gives it out, and data kept like it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.catalogue import Catalogue
from datamodules.layouts.base import Layout
from datamodules.protocol import Protocol
from datamodules.source import DataError

TRAIN, TEST = "trainset_txt_img_cat.list", "testset_txt_img_cat.list"
CATEGORIES, FEATURES = "categories.list", "raw_features.mat"
PLAIN_NAME = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]{1,200}")
TEXT = re.compile(r"<text(?:\s[^>]*)?>(.*?)(?:</text\s*>|</document\s*>|\Z)", re.DOTALL | re.IGNORECASE)
ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
ENTITY = re.compile("|".join(ENTITIES))


@dataclass(frozen=True)
class Pair:
    """One line of a list: a text, a picture and a category, counted from 1."""

    text: str
    image: str
    category: int


class WikipediaLayout(Layout):
    """Two lists of (text, picture, category), ``texts/`` and ``images/<category>/``.

    An item's id is that of its text, because a picture's id may occur in several category folders, and for several
    texts: the category decides which picture is meant. Texts are ``<id>.xml`` or ``<id>.txt``; the first are not
    always well formed, so what stands in ``<text>`` is cut out, not parsed.

    The split is published: queries are the test list, database and training items the training list.

    A protocol without class names takes the categories of the files; this is how one's own data is read.
    """

    title: ClassVar[str] = (
        f"Wikipedia ({TRAIN} and {TEST} with lines 'text id<TAB>image id<TAB>category', texts/<text id>.xml or .txt, "
        "images/<category>/<image id>.jpg)"
    )

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Look for the two lists."""
        del protocol
        return (root / TRAIN).is_file() and (root / TEST).is_file()

    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read the items, those of the training list first; label columns are in order of the category numbers.

        Raises:
            DataError: naming file and line or text, if a list does not fit, or texts are missing.
        """
        lists = [read_list(root / name) for name in (TRAIN, TEST)]
        _check_texts_differ(root, lists)
        pairs = [pair for pairs in lists for pair in pairs]
        names = _class_names(root, protocol, max(pair.category for pair in pairs))
        _check_categories(root, lists, names)
        sentences, recoded = _read_texts(root / "texts", [pair.text for pair in pairs])
        keys = tuple(f"{names[pair.category - 1]}/{pair.image}" for pair in pairs)
        by_category = bool(_folders(root))
        labels = np.zeros((len(pairs), len(names)), dtype=np.uint8)
        labels[np.arange(len(pairs)), [pair.category - 1 for pair in pairs]] = 1
        database = np.arange(len(lists[0]), dtype=np.int64)
        facts = {"label_source": "categories of the published lists", "text_source": "texts/"}
        if recoded:
            facts["text_encoding"] = f"{recoded} texts are no UTF-8 and were read as Latin-1"
        if (root / FEATURES).is_file():
            facts["features"] = FEATURES
        return Catalogue(
            name="wikipedia" if protocol.class_names else root.resolve().name,
            class_names=names,
            ids=tuple(pair.text for pair in pairs),
            labels=labels,
            paths=tuple(
                f"images/{key if by_category else pair.image}.jpg" for key, pair in zip(keys, pairs, strict=True)
            ),
            keys=keys if by_category else tuple(pair.image for pair in pairs),
            sentences=sentences,
            query=np.arange(len(lists[0]), len(pairs), dtype=np.int64),
            database=database,
            train=database,
            facts=facts,
        )


def read_list(path: Path) -> list[Pair]:
    """Read a list of (text, picture, category); its order is that of the rows of ``raw_features.mat``.

    Raises:
        DataError: the file is missing or empty, or a line does not hold two ids and a number, separated by tabs.
    """
    pairs = []
    for number, line in enumerate(_lines(path), 1):
        text, image, category = (*line.split("\t"), "", "", "")[:3]
        if line.count("\t") != 2 or not re.fullmatch("[0-9]{1,6}", category) or int(category) == 0:
            raise DataError(
                f"{path} line {number}: {line[:80]!r}, expected text id<TAB>image id<TAB>category (1, 2, ...)"
            )
        for name in (text, image):
            if not PLAIN_NAME.fullmatch(name):
                raise DataError(f"{path} line {number}: {name[:80]!r} cannot be the name of a file")
        pairs.append(Pair(text, image, int(category)))
    return pairs


def category_names(root: Path) -> tuple[str, ...]:
    """Return the categories in order of their numbers: those of ``categories.list``, or else the sorted folders.

    Returns:
        empty if there is neither the one nor the other.

    Raises:
        DataError: the list repeats a name, or holds one that no folder can have.
    """
    path = root / CATEGORIES
    if not path.is_file():
        return _folders(root)
    names = _lines(path)
    for number, name in enumerate(names, 1):
        if not PLAIN_NAME.fullmatch(name) or name in names[: number - 1]:
            raise DataError(f"{path} line {number}: {name[:80]!r}, expected the name of another category")
    return tuple(names)


def _folders(root: Path) -> tuple[str, ...]:
    images = root / "images"
    if not images.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in images.iterdir() if entry.is_dir() and not entry.name.startswith(".")))


def _class_names(root: Path, protocol: Protocol, highest: int) -> tuple[str, ...]:
    if not protocol.class_names:
        return category_names(root) or tuple(str(number) for number in range(1, highest + 1))
    for names in (category_names(root), _folders(root)):  # the list may spell the categories out
        if set(names) == set(protocol.class_names):
            return names
    raise DataError(
        f"{root}: categories {', '.join(_folders(root)) or 'without folders in images/'}, expected those of the "
        f"Wikipedia data set: {', '.join(protocol.class_names)}; data.class_path=datamodules.wikipedia.WikipediaFolder "
        "reads other data in the same layout"
    )


def _check_texts_differ(root: Path, lists: Sequence[Sequence[Pair]]) -> None:
    seen: dict[str, str] = {}
    for name, pairs in zip((TRAIN, TEST), lists, strict=True):
        for number, pair in enumerate(pairs, 1):
            place = f"{name} line {number}"
            if pair.text in seen:
                raise DataError(f"{root / place}: text {pair.text!r} already stands in {seen[pair.text]}")
            seen[pair.text] = place


def _check_categories(root: Path, lists: Sequence[Sequence[Pair]], names: Sequence[str]) -> None:
    for name, pairs in zip((TRAIN, TEST), lists, strict=True):
        for number, pair in enumerate(pairs, 1):
            if pair.category > len(names):
                raise DataError(
                    f"{root / name} line {number}: category {pair.category}, but there are {len(names)}: "
                    + ", ".join(names)
                )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _decode(data: bytes) -> tuple[str, bool]:
    """Return the text, and whether it was no UTF-8."""
    try:
        return data.decode("utf-8-sig"), False
    except UnicodeDecodeError:
        return data.decode("latin-1"), True


def _lines(path: Path) -> list[str]:
    """Return the stripped lines; the last may lack its newline, and only the end may be blank."""
    lines = [line.strip(" \r") for line in _decode(_bytes(path))[0].split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path}: no lines")
    return lines


def _read_texts(folder: Path, ids: Sequence[str]) -> tuple[list[tuple[str, ...]], int]:
    """Return one sentence per text, none for an empty text, and how many texts were no UTF-8."""
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    # Ids hold dots, so a suffix is appended, never replaced.
    files = [next((text + end for end in (".xml", ".txt") if text + end in there), "") for text in ids]
    gone = [text for text, name in zip(ids, files, strict=True) if not name]
    if gone:
        listed = "\n  ".join(gone)
        raise DataError(f"{folder}: {len(gone)} of {len(ids)} texts are missing, neither .xml nor .txt:\n  {listed}")
    sentences: list[tuple[str, ...]] = []
    recoded = 0
    for name in files:
        text, other = _decode(_bytes(folder / name))
        text = " ".join((_between_tags(text, folder / name) if name.endswith(".xml") else text).split())
        sentences.append((text,) if text else ())
        recoded += other
    return sentences, recoded


def _between_tags(document: str, path: Path) -> str:
    found = TEXT.search(document)
    if found is None:
        raise DataError(f"{path}: no <text> in it")
    return ENTITY.sub(lambda entity: ENTITIES[entity[0]], found[1])
