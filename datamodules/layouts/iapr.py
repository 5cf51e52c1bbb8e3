"""IAPR TC-12 with the region labels of SAIAPR TC-12, as ImageCLEF gives them out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.catalogue import Catalogue
from datamodules.layouts.base import Layout
from datamodules.protocol import Protocol
from datamodules.source import DataError

CAPTIONS = ("annotations_complete_eng", "iaprtc12/annotations_complete_eng")
PICTURES = ("images", "iaprtc12/images")
REGIONS = ("saiapr_tc-12", "benchmark/saiapr_tc-12", "saiaprtc12ok/benchmark/saiapr_tc-12")
WORD_LISTS = re.compile(r"w(?:ord)?_?list\.txt", re.IGNORECASE)
DESCRIPTION = re.compile(r"<DESCRIPTION>(.*?)</DESCRIPTION>", re.DOTALL | re.IGNORECASE)
CLASSES = 255


class IAPRLayout(Layout):
    """``images/NN/<id>.jpg``, ``annotations_complete_eng/NN/<id>.eng`` and ``saiapr_tc-12/NN/labels.txt``.

    An item is an image with at least one region label and a caption. Its classes are the labels of its regions,
    in ascending order of label ids; they are called as in SAIAPR's word list (``wlist.txt``), and ``label-<id>``
    where there is none. Without ``images/``, the copies in SAIAPR's ``NN/images/`` serve.
    """

    title: ClassVar[str] = (
        "IAPR TC-12 (images/NN/<id>.jpg, annotations_complete_eng/NN/<id>.eng) with SAIAPR TC-12 "
        "(benchmark/saiapr_tc-12/NN/labels.txt)"
    )

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Look for captions and region labels."""
        del protocol
        return _find(root, CAPTIONS) is not None and _find(root, REGIONS) is not None

    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read the items by ascending id.

        Raises:
            DataError: naming file and line, if a region label is no number, or an image has two captions.
        """
        regions, caption_folder = _need(root, REGIONS), _need(root, CAPTIONS)
        labels, unlabelled = _read_labels(regions)
        captions = _read_captions(caption_folder)
        items = sorted(labels.keys() & captions.keys())
        if not items:
            raise DataError(f"{root}: no image has both a label in {regions} and a caption in {caption_folder}")
        pictures = _find(root, PICTURES)
        inner = "" if pictures else "/images"
        folder = (pictures or regions).relative_to(root).as_posix()
        label_ids = sorted({label for item in items for label in labels[item]})
        names, name_source = _class_names(regions, label_ids)
        left_out = f"{len(labels) - len(items)} with labels only, {len(captions) - len(items)} with a caption only"
        return Catalogue(
            name="iaprtc12",
            class_names=names,
            ids=tuple(map(str, items)),
            labels=_multi_hot([labels[item] for item in items], label_ids),
            paths=tuple(f"{folder}/{captions[item][0]}{inner}/{item}.jpg" for item in items),
            sentences=[(captions[item][1],) for item in items],
            facts={
                "label_source": "regions of SAIAPR TC-12",
                "class_names": f"{len(label_ids)} label ids ({CLASSES} expected), names: {name_source}",
                "text_source": "DESCRIPTION of annotations_complete_eng",
                "notes": f"images left out: {left_out}; lines of labels.txt without a label: {unlabelled}",
            },
        )


def _find(root: Path, places: Sequence[str]) -> Path | None:
    return next((root / place for place in places if (root / place).is_dir()), None)


def _need(root: Path, places: Sequence[str]) -> Path:
    found = _find(root, places)
    if found is None:
        raise DataError(f"{root}: no folder {' or '.join(places)}")
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _text(path: Path) -> str:
    """Read a file as Latin-1, which any bytes are: the captions hold accents, and 0x81, which cp1252 lacks."""
    return _bytes(path).decode("latin-1")


def _read_labels(folder: Path) -> tuple[dict[int, set[int]], int]:
    """Return the label ids of every image, and how many lines had none."""
    labels: dict[int, set[int]] = defaultdict(set)
    short = 0
    for path in sorted(folder.glob("*/labels.txt")):
        for number, line in enumerate(_bytes(path).split(b"\n"), 1):
            values = line.split()  # of bytes: as text, 0x85 and 0xA0 would be blanks
            if len(values) not in (0, 2, 3) or not all(re.fullmatch(b"[0-9]{1,9}", value) for value in values):
                shown = line[:80].decode("latin-1").rstrip("\r")
                raise DataError(f"{path} line {number}: {shown!r}, expected numbers: image, region, label")
            if len(values) == 3:
                labels[int(values[0])].add(int(values[2]))
            short += len(values) == 2
    if not labels:
        raise DataError(f"{folder}: no labels in {folder.name}/NN/labels.txt")
    return dict(labels), short


def _read_captions(folder: Path) -> dict[int, tuple[str, str]]:
    """Return sub-folder and DESCRIPTION of every image that has one."""
    captions: dict[int, tuple[str, str]] = {}
    for path in sorted(folder.glob("*/*.eng")):
        if not re.fullmatch("[0-9]{1,9}", path.stem):
            raise DataError(f"{path}: expected <number>.eng")
        found = DESCRIPTION.search(_text(path))
        sentence = " ".join(found[1].split()) if found else ""
        if int(path.stem) in captions:
            raise DataError(f"{path}: image {int(path.stem)} has another caption in {captions[int(path.stem)][0]}/")
        if sentence:
            captions[int(path.stem)] = (path.parent.name, sentence)
    return captions


def _multi_hot(labels: Sequence[set[int]], label_ids: Sequence[int]) -> np.ndarray:
    column = {label: c for c, label in enumerate(label_ids)}
    matrix = np.zeros((len(labels), len(label_ids)), dtype=np.uint8)
    for row, found in enumerate(labels):
        matrix[row, [column[label] for label in found]] = 1
    return matrix


def _class_names(regions: Path, label_ids: Sequence[int]) -> tuple[tuple[str, ...], str]:
    """Return the words of a list in SAIAPR's folders if it names every label once, and where they come from."""
    for folder in (regions, regions.parent, regions.parent / "matlab", regions.parent.parent / "matlab"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if WORD_LISTS.fullmatch(path.name) and path.is_file():
                words = _read_words(path)
                names = tuple(words.get(label, "") for label in label_ids)
                if all(names) and len(set(names)) == len(names):
                    return names, path.name
    return tuple(f"label-{label}" for label in label_ids), "none, by label id"


def _read_words(path: Path) -> Mapping[int, str]:
    r"""Read lines ``7 word`` (or ``7\tword``); others are passed over."""
    lines = (
        re.fullmatch(r"\s*([0-9]{1,9})\s+([^\s\x00-\x1f][^\x00-\x1f]*?)\s*", line) for line in _text(path).split("\n")
    )
    return {int(line[1]): line[2] for line in lines if line}
