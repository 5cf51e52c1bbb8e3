"""The three files of DCHMT and its successors: paths, captions and labels in MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from datamodules.catalogue import Catalogue
from datamodules.layouts.base import Layout
from datamodules.layouts.lists import Columns, check_distinct, column_names, text_lines
from datamodules.layouts.matlab import load_mat, string_lists, strings
from datamodules.layouts.places import listed_path, locate
from datamodules.protocol import Protocol
from datamodules.source import DataError

PATHS = ("index", "FAll", "imgs")
CAPTIONS = ("caption", "YAll", "tags")
LABELS = ("category", "label", "LAll", "labels")
NO_TEXT = frozenset({"", "123456"})  # what the builders of these files write for an item without tags


class DchmtTrio(Layout):
    """``index.mat``, ``caption.mat`` (or ``caption.txt``) and ``label.mat``, row by row about the same items.

    The paths are those of another machine, hence matched by their ends. No split is published with the files.
    Texts become sentences even where a text is one string of tags, because the files do not tell them apart.

    Source: https://github.com/kalenforn/clip-based-cross-modal-hash, ``dataset/builder.py``, which names the
    variables; MITH (https://github.com/DarrenZZhang/MM23-MITH) calls the labels ``label``.

    Args:
        columns: which of the protocol's class orders the label columns are in; the files do not say.
    """

    title = "DCHMT files (index.mat, caption.mat or caption.txt, label.mat and the pictures)"

    def __init__(self, columns: Columns = "legacy") -> None:
        self.columns = columns

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Tell by the names of the files; see :meth:`Layout.recognise`."""
        del protocol
        named = [(root / file).is_file() for file in ("index.mat", "label.mat")]
        return all(named) and any((root / file).is_file() for file in ("caption.mat", "caption.txt"))

    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read the three files and find the pictures.

        Raises:
            DataError: a file is damaged, the files differ in their number of items, or no picture is found.
        """
        index, label = load_mat(root / "index.mat"), load_mat(root / "label.mat")
        paths = _paths(index[index.first(PATHS)], f"{index.path}, variable {index.first(PATHS)!r}")
        ids = tuple(map(protocol.item_id, paths))
        check_distinct(ids, lambda row: f"{index.path}, item {row + 1}")
        variable = label.first(LABELS)
        shape = (len(ids), len(protocol.class_names))
        labels = label_matrix(label[variable], shape, f"{label.path}, variable {variable!r}")
        sentences, text_source = _sentences(root, len(ids))
        places, note = locate(root, paths)
        return Catalogue(
            name=root.resolve().name,
            class_names=column_names(protocol, self.columns),
            ids=ids,
            labels=labels,
            paths=places,
            keys=None if protocol.key is None else tuple(map(protocol.key, ids)),
            sentences=sentences,
            facts={
                "label_source": f"label.mat, {variable}",
                "label_columns": f"{self.columns} order of the protocol, the files name no classes",
                "text_source": text_source,
                "picture_source": note,
            },
        )


def label_matrix(value: Any, shape: tuple[int, int], where: str) -> np.ndarray:
    """Return 0-1 labels of any type, sparse or dense, items along either axis, as uint8.

    Args:
        value: what :func:`~datamodules.layouts.matlab.load_mat` gave.
        shape: ``(n, C)`` expected.
        where: file and variable, for the message.

    Raises:
        DataError: another shape, or other values than 0 and 1.
    """
    array = value.toarray() if scipy.sparse.issparse(value) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: {array.dtype} values, expected numbers 0 and 1")
    if array.shape == shape[::-1] and array.shape != shape:
        array = array.T
    if shape[0] == 1 and array.size == shape[1]:
        array = array.reshape(shape)
    if array.shape != shape:
        raise DataError(f"{where}: shape {array.shape}, expected {shape[0]} items of index.mat with {shape[1]} classes")
    wrong = ~np.isin(array, (0, 1)).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        value = array[row][~np.isin(array[row], (0, 1))][0]
        raise DataError(f"{where}, item {row + 1}: label {value}, expected 0 or 1")
    return array.astype(np.uint8)


def _paths(value: Any, where: str) -> tuple[str, ...]:
    found = strings(value, where)
    return tuple(listed_path(path, f"{where}, item {row}") for row, path in enumerate(found, 1))


def _sentences(root: Path, count: int) -> tuple[list[list[str]], str]:
    file = root / "caption.mat"
    if file.is_file():
        opened = load_mat(file)
        variable = opened.first(CAPTIONS)
        texts = string_lists(opened[variable], count, f"{file}, variable {variable!r}")
        source = f"caption.mat, {variable}"
    else:
        texts, source = _text_rows(root / "caption.txt", count), "caption.txt"
    return [[text for text in item if text not in NO_TEXT] for item in texts], source


def _text_rows(file: Path, count: int) -> list[list[str]]:
    """Return one text per item; a blank line is an item without one."""
    lines = text_lines(file)
    while len(lines) > count and not lines[-1]:
        lines.pop()
    if len(lines) != count:
        raise DataError(f"{file}: {len(lines)} lines, expected one for each of the {count} items of index.mat")
    return [[line] for line in lines]
