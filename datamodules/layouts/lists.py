"""Text lists of pictures and labels with published splits: those of ProS-GAN and of the HashNet family."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from datamodules.catalogue import Catalogue
from datamodules.layouts.base import Layout
from datamodules.layouts.places import listed_path, locate
from datamodules.protocol import Protocol
from datamodules.source import DataError

Columns: TypeAlias = Literal["legacy", "alphabetical"]

_LABELLED = re.compile(r"(.*?)((?:\s+[01])*)")


@dataclass(frozen=True)
class Listing:
    """One list, item ``r`` from line ``r + 1``.

    Attributes:
        file: the file that names the pictures.
        paths: ``n`` listed paths, relative and POSIX.
        ids: ``n`` item ids.
        labels: uint8 ``(n, C)`` in {0, 1}.
    """

    file: Path
    paths: tuple[str, ...]
    ids: tuple[str, ...]
    labels: np.ndarray


class SplitLists(Layout):
    """Lists of database, queries and training items.

    Database rows come first, in the order of their list, then the queries. Training items are database items
    here, and may be listed repeatedly.

    Args:
        columns: which of the protocol's class orders the label columns are in; the files do not say.
    """

    published: ClassVar[str]

    def __init__(self, columns: Columns = "legacy") -> None:
        self.columns = columns

    @abstractmethod
    def listing(self, root: Path, part: str, protocol: Protocol) -> Listing:
        """Read the list of ``database``, ``test`` or ``train``.

        Raises:
            DataError: a line is not what it should be; the message names file and line.
        """

    @abstractmethod
    def files(self, part: str) -> tuple[str, ...]:
        """Return the names of the files of one list."""

    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read lists and labels and find the pictures.

        Raises:
            DataError: a list is missing or damaged, the lists contradict each other, or no picture is found.
        """
        for part in ("database", "test", "train"):
            self._check_present(root, part)
        database, test, train = (self.listing(root, part, protocol) for part in ("database", "test", "train"))
        check_distinct(database.ids, lambda row: f"{database.file}, line {row + 1}")
        check_distinct(test.ids, lambda row: f"{test.file}, line {row + 1}")
        row_of = {item: row for row, item in enumerate(database.ids)}
        _check_queries(test, database, row_of)
        _check_train(train, database, row_of)
        ids, paths = database.ids + test.ids, database.paths + test.paths
        places, note = locate(root, paths)
        return Catalogue(
            name=root.resolve().name,
            class_names=column_names(protocol, self.columns),
            ids=ids,
            labels=np.concatenate([database.labels, test.labels]),
            paths=places,
            keys=None if protocol.key is None else tuple(map(protocol.key, ids)),
            query=np.arange(len(database.ids), len(ids), dtype=np.int64),
            database=np.arange(len(database.ids), dtype=np.int64),
            train=np.array([row_of[item] for item in train.ids], dtype=np.int64),
            facts={
                "label_source": ", ".join(self.files(part)[-1] for part in ("database", "test", "train")),
                "label_columns": f"{self.columns} order of the protocol, the files name no classes",
                "picture_source": note,
            },
        )

    def _check_present(self, root: Path, part: str) -> None:
        for file in self.files(part):
            if not (root / file).is_file():
                raise DataError(
                    f"{root / file} is missing, nothing else says which items and labels are in it. Published at "
                    f"{self.published}; copies that leave out large files lack it"
                )


class ProsGanLists(SplitLists):
    """``*_img.txt`` with one path per line and ``*_label.txt`` with one 0-1 row per line, as ProS-GAN has them.

    Source: https://github.com/xunguangwang/ProS-GAN, ``data/``, read by its ``utils/data_provider.py``.
    """

    title = "ProS-GAN lists ({database,test,train}_img.txt, {database,test,train}_label.txt and the pictures)"
    published = "https://github.com/xunguangwang/ProS-GAN in data/FLICKR-25K, data/MS-COCO and data/NUS-WIDE"

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Tell by the names of the lists of queries and training items; see :meth:`Layout.recognise`."""
        del protocol
        return all((root / file).is_file() for part in ("test", "train") for file in self.files(part))

    def files(self, part: str) -> tuple[str, ...]:
        """Return the file of paths and the file of labels."""
        return f"{part}_img.txt", f"{part}_label.txt"

    def listing(self, root: Path, part: str, protocol: Protocol) -> Listing:
        """Read one pair of files; see :meth:`SplitLists.listing`."""
        images, labels = (root / file for file in self.files(part))
        names, rows = _filled_lines(images), _filled_lines(labels)
        if len(names) != len(rows):
            longer, shorter = (images, labels) if len(names) > len(rows) else (labels, images)
            count = min(len(names), len(rows))
            raise DataError(f"{longer}, line {count + 1}: no such line in {shorter.name}, which ends at line {count}")
        return _listing(images, names, labels, rows, protocol)


class HashNetLists(SplitLists):
    """``database.txt``, ``test.txt`` and ``train.txt`` with lines ``path 0 1 0 ...``.

    Source: HashNet; https://github.com/swuxyj/DeepHash-pytorch, ``utils/tools.py``; cisip-FIRe. The label
    columns of DeepHash-pytorch's MIRFLICKR lists are alphabetical, those of its NUS-WIDE lists by descending
    frequency. Its MIRFLICKR lists keep the training items out of the database, which no other
    protocol does; they are refused until the two are put together.
    """

    title = "HashNet lists (database.txt, test.txt, train.txt with lines 'path 0 1 0 ...' and the pictures)"
    published = "https://github.com/swuxyj/DeepHash-pytorch in data/, https://github.com/CISiPLab/cisip-FIRe"

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Tell by the first lines of the lists of queries and training items; see :meth:`Layout.recognise`."""
        del protocol
        return all(_starts_labelled(root / file) for part in ("test", "train") for file in self.files(part))

    def files(self, part: str) -> tuple[str, ...]:
        """Return the one file of paths and labels."""
        return (f"{part}.txt",)

    def listing(self, root: Path, part: str, protocol: Protocol) -> Listing:
        """Read one file; see :meth:`SplitLists.listing`."""
        file = root / f"{part}.txt"
        pairs = [match.groups() for line in _filled_lines(file) if (match := _LABELLED.fullmatch(line))]
        return _listing(file, [name for name, _ in pairs], file, [row for _, row in pairs], protocol)


def column_names(protocol: Protocol, columns: Columns) -> tuple[str, ...]:
    """Return the class names of label columns that a file does not name."""
    return protocol.legacy_class_names if columns == "legacy" else protocol.class_names


def check_distinct(ids: Sequence[str], place: Callable[[int], str]) -> None:
    """Check that no id comes twice.

    Args:
        ids: item ids.
        place: what a message calls the place of a row.

    Raises:
        DataError: naming both places of the first repeated id.
    """
    seen: dict[str, int] = {}
    for row, item in enumerate(ids):
        if (first := seen.setdefault(item, row)) != row:
            raise DataError(f"{place(row)}: item {item} again, after {place(first)}")


def text_lines(path: Path) -> list[str]:
    r"""Return the lines of a text file without blanks around them; ``\n``, ``\r\n`` and ``\r`` end a line.

    Raises:
        DataError: it cannot be read, or is no UTF-8; the message names the line.
    """
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: no UTF-8 text (byte 0x{data[error.start]:02x})") from error
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _filled_lines(path: Path) -> list[str]:
    lines = text_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path} is empty")
    if "" in lines:  # skipping it would shift every following row against the labels
        raise DataError(f"{path}, line {lines.index('') + 1}: blank line between items")
    return lines


def _listing(images: Path, names: list[str], labels: Path, rows: list[str], protocol: Protocol) -> Listing:
    paths = tuple(listed_path(name, f"{images}, line {line}") for line, name in enumerate(names, 1))
    return Listing(images, paths, tuple(map(protocol.item_id, paths)), _label_rows(labels, rows, protocol))


def _label_rows(file: Path, rows: list[str], protocol: Protocol) -> np.ndarray:
    width = len(protocol.class_names)
    digits = []
    for line, row in enumerate(rows, 1):
        fields = row.split()
        joined = "".join(fields)
        if len(fields) != width or len(joined) != width or joined.strip("01"):
            raise DataError(
                f"{file}, line {line}: {len(fields)} labels ({' '.join(fields[:8])[:40]} ...), expected {width}, each "
                f"0 or 1 (protocol {protocol.name})"
            )
        digits.append(joined)
    flat = np.frombuffer("".join(digits).encode(), dtype=np.uint8) - ord("0")
    return flat.reshape(len(rows), width)


def _starts_labelled(file: Path) -> bool:
    try:
        with file.open("rb") as lines:
            first = lines.readline(1 << 16).decode(errors="replace").strip()
    except OSError:
        return False
    match = _LABELLED.fullmatch(first)
    return match is not None and bool(match[1]) and len(match[2].split()) > 1


def _check_queries(test: Listing, database: Listing, row_of: dict[str, int]) -> None:
    inside = [item for item in test.ids if item in row_of]
    if inside:
        raise DataError(f"{len(inside)} queries of {test.file} are in {database.file.name} too: {_some(inside)}")


def _check_train(train: Listing, database: Listing, row_of: dict[str, int]) -> None:
    outside = list(dict.fromkeys(item for item in train.ids if item not in row_of))
    if outside:
        raise DataError(
            f"{len(outside)} items of {train.file} are not in {database.file.name}: {_some(outside)}. Training items "
            f"are database items in every protocol here: add their lines to the lists of the database"
        )
    expected = database.labels[[row_of[item] for item in train.ids]]
    differs = (train.labels != expected).any(axis=1)
    if differs.any():
        row = int(differs.argmax())
        raise DataError(
            f"{train.file}, line {row + 1}: other labels than item {train.ids[row]} has in line "
            f"{row_of[train.ids[row]] + 1} of the database"
        )


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (" ..." if len(ids) > 5 else "")
