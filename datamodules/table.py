"""TableDataModule: a folder of pictures with a table of labels."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base import DEFAULT_LOADER, DEFAULT_PIXELS
from datamodules.catalogue import Catalogue
from datamodules.catalogued import check_option, stamps
from datamodules.dataset import Loading
from datamodules.images import Pixels
from datamodules.missing import Missing, drop_missing
from datamodules.own import OWN_SIZES, OwnPicturesDataModule, check_name, check_unicode, multi_hot_names, shortened
from datamodules.records import Record, read_records
from datamodules.source import DataError
from datamodules.splits import SPLIT_RULE, SplitSizes
from datamodules.stores import ARRAY
from datamodules.text.base import TextFeatures

SPLITS = ("train", "query", "database")
LONGEST_NAME = 255  # bytes of a file name on all usual file systems


class TableDataModule(OwnPicturesDataModule):
    """Pictures that a CSV, Parquet or JSON Lines table lists, one row each.

    Ids are the relative paths as they stand in the table; ``photos.zip/a.jpg`` is a picture in an archive.

    Args:
        root: folder that the table and the pictures' paths are relative to.
        table: path of the table; see :func:`~datamodules.records.read_records` for its forms.
        image_column: column of paths. Backslashes are slashes; a path may not leave ``root``.
        label_column: column of class names: one, several separated by ``label_separator``, or a (JSON) list of
            them. An empty cell is an error; an item without any class has the empty list ``[]``.
        label_separator: what stands between class names in one cell.
        label_columns: 0/1 columns, one per class, in place of ``label_column``.
        caption_column: column of a caption or, in Parquet and JSON, of a list of captions.
        split_column: column of ``train``, ``query`` and ``database``: a published split. Training items are in the
            database too; without any, training items are drawn from it.
        missing: ``error`` lists all pictures that are not there; ``skip`` leaves them out and says so.
        name: short name for reports; None takes the folder's.
        text: text features; None gives none.
        pixels: size of the pictures.
        splits: sizes of the splits. ``query=None`` takes all rows of the split ``query``, or else a tenth of all
            rows, at most 1000.
        loader: batch size and workers.
        cache_dir: folder for catalogues, manifests and features.

    Raises:
        DataError: an impossible option; in ``prepare_data``, whatever is wrong with the table.
    """

    def __init__(
        self,
        root: str,
        table: str,
        image_column: str = "image",
        label_column: str = "label",
        label_separator: str = "|",
        label_columns: list[str] | None = None,
        caption_column: str | None = None,
        split_column: str | None = None,
        missing: Missing = "error",
        name: str | None = None,
        text: TextFeatures | None = None,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = OWN_SIZES,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
    ) -> None:
        check_option("missing", missing, ("error", "skip"))
        if not label_separator:
            raise DataError("label_separator='': expected at least one character")
        self.table, self._missing = Path(root) / table, missing
        self._image, self._caption, self._split = image_column, caption_column, split_column
        self._label, self._separator, self._indicators = label_column, label_separator, label_columns
        self._columns = [image_column, *(label_columns or [label_column])]
        self._columns += [column for column in (caption_column, split_column) if column is not None]
        if len(set(self._columns)) != len(self._columns):
            raise DataError(f"columns {', '.join(self._columns)}: one is named twice")
        super().__init__(root, name, text, pixels, splits, loader, cache_dir)

    def depends_on(self) -> list[object]:
        """Return what the catalogue depends on; see :meth:`CatalogueDataModule.depends_on`."""
        state = self.table.stat() if self.table.is_file() else None
        version = None if state is None else [state.st_size, state.st_mtime_ns]
        options = [self._columns, self._indicators, self._separator, self._caption, self._split, self._missing]
        return ["table", self.short_name, str(self.table), version, options, stamps(self.root, self.cache_dir)]

    def read_catalogue(self) -> Catalogue:
        """Parse the table; see :meth:`CatalogueDataModule.read_catalogue`."""
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder")
        records = read_records(self.table, list(dict.fromkeys(self._columns)))
        paths = self._paths(records)
        names, labels = self._labels(records)
        if not names:
            raise DataError(f"{self.table}: no row has a class")
        catalogue = Catalogue(
            name=self.short_name,
            class_names=names,
            ids=paths,
            labels=labels,
            paths=paths,
            sentences=None if self._caption is None else [self._captions(record) for record in records],
            facts={
                "layout": "a table",
                "label_source": f"{self.table.name}, columns {', '.join(self._indicators or [self._label])}",
                "split_source": SPLIT_RULE if self._split is None else f"column {self._split}",
            },
            **({} if self._split is None else self._published(records)),
        )
        return drop_missing(catalogue, self.pictures(), self._missing)

    def _place(self, record: Record, column: str) -> str:
        return f"{self.table} {record.place}, column {column!r}"

    def _paths(self, records: Sequence[Record]) -> tuple[str, ...]:
        places: dict[str, str] = {}
        twice = []
        for record in records:
            path = relative_path(record.values[self._image], self.root, self._place(record, self._image))
            if path in places:
                twice.append(f"{path}: {places[path]} and {record.place}")
            places.setdefault(path, record.place)
        if twice:
            raise DataError(
                f"{self.table}: {len(twice)} pictures are listed again; several classes of one stand in one row, "
                f"separated by {self._separator!r}:{shortened(twice)}"
            )
        return tuple(places)

    def _labels(self, records: Sequence[Record]) -> tuple[tuple[str, ...], np.ndarray]:
        if self._indicators is None:
            return multi_hot_names([self._classes(record) for record in records])
        names = tuple(sorted(check_name(name, "label_columns") for name in self._indicators))
        rows = [[indicator(record.values[name], self._place(record, name)) for name in names] for record in records]
        return names, np.array(rows, dtype=np.uint8)

    def _classes(self, record: Record) -> list[str]:
        place = self._place(record, self._label)
        return [check_name(name, place) for name in class_list(record.values[self._label], self._separator, place)]

    def _captions(self, record: Record) -> list[str]:
        column = str(self._caption)
        value, place = record.values[column], self._place(record, column)
        captions = value if isinstance(value, list) else [] if value is None else [value]
        for caption in captions:
            if not isinstance(caption, str):
                raise DataError(f"{place}: {caption!r}, expected a text")
        return [check_unicode(caption, place) for caption in captions if caption.strip()]

    def _published(self, records: Sequence[Record]) -> dict[str, Any]:
        column = str(self._split)
        values = [str(record.values[column] or "").strip() for record in records]
        strange = [
            f"{record.place}: {value!r}" for record, value in zip(records, values, strict=True) if value not in SPLITS
        ]
        if strange:
            raise DataError(
                f"{self.table}: column {column!r} holds {len(strange)} values other than {', '.join(SPLITS)}:"
                f"{shortened(strange)}"
            )
        found = np.array(values)
        rows = {name: np.flatnonzero(found == name) for name in SPLITS}
        for name, there in (("query", len(rows["query"])), ("database", len(rows["database"]) + len(rows["train"]))):
            if not there:
                raise DataError(f"{self.table}: column {column!r} names no row {name!r}")
        database = np.union1d(rows["train"], rows["database"])
        return {"query": rows["query"], "database": database, "train": rows["train"] if len(rows["train"]) else None}


def relative_path(value: Any, root: Path, place: str) -> str:
    """Return the path of a picture, relative to ``root`` and POSIX.

    Raises:
        DataError: it is no path or leads out of ``root``; the message starts with ``place``.
    """
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{place}: {value!r}, expected the path of a picture")
    written = check_name(value.strip(), place).replace("\\", "/")
    if written.startswith("/"):
        for base in (root.absolute().as_posix(), root.resolve().as_posix()):
            written = written.removeprefix(base.rstrip("/") + "/")
    path = posixpath.normpath(written)
    if path.startswith("/") or re.match(r"[A-Za-z]:/", path) or path.split("/")[0] == "..":
        raise DataError(f"{place}: {value!r} is outside of {root}; write paths relative to it")
    if path == "." or max(len(part.encode()) for part in path.split("/")) > LONGEST_NAME:
        raise DataError(f"{place}: {value[:60]!r}, expected the path of a picture")
    if ARRAY in path and not re.fullmatch(r".*\.npy#[0-9]{1,18}", path):
        raise DataError(f"{place}: {value!r}, expected the number of an item after '#'")
    return path


def class_list(value: Any, separator: str, place: str) -> list[str]:
    """Return the class names of one cell: a name, several with ``separator`` between them, a list, or its JSON.

    Raises:
        DataError: the cell is empty or holds anything else; the message starts with ``place``.
    """
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise DataError(f'{place}: {value[:60]!r} is no JSON list; expected ["one", "other"]') from error
    elif isinstance(value, str):
        value = [part for part in value.split(separator) if part.strip()] or None
    values = value if isinstance(value, list) or value is None else [value]
    if values is None:
        raise DataError(f"{place}: no class; an item that has none is written []")
    if any(isinstance(one, bool) or not isinstance(one, str | int) or not str(one).strip() for one in values):
        raise DataError(f"{place}: {values!r}, expected names of classes")
    return list(dict.fromkeys(str(one).strip() for one in values))


def indicator(value: Any, place: str) -> int:
    """Return 0 or 1, however a table writes it.

    Raises:
        DataError: it is neither; the message starts with ``place``.
    """
    number = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}.get(value.strip(), value) if isinstance(value, str) else value
    if not isinstance(number, int | float) or number not in (0, 1):
        raise DataError(f"{place}: {value!r}, expected 0 or 1")
    return int(number)
