"""The catalogue: what the files of a data set say, before any split is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from torch import Tensor

from datamodules.parquet import label_column, labels_of, read_table, write_table
from datamodules.source import DataError, ItemSource
from datamodules.stores import PictureStore

VERSION = "1"
Texts = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Catalogue:
    """One row per item, in the order of the files' database, which decides index ties.

    A layout reader returns one; it is kept as Parquet, so that the files are parsed once.

    Attributes:
        name: short name of the data set.
        class_names: ``C`` names in column order.
        ids: ``n`` distinct ids that any layout of the same data gives: Flickr or COCO numbers, file stems.
        labels: uint8 ``(n, C)`` multi-hot in {0, 1}.
        paths: ``n`` places of the pictures, as :class:`~datamodules.stores.PictureStore` reads them.
        keys: ``n`` names of the photographs where items may repeat one; None: ids tell them apart.
        sentences: captions per item, or None.
        tags: tags per item, or None.
        query: int64 rows of the published queries; None where no split is published.
        database: int64 rows of the published database; None where no split is published.
        train: int64 rows of the published training list, in its order, with its repetitions.
        facts: what reports say: ``layout``, ``label_source``, ``split_source``, notes.

    Raises:
        DataError: columns of different length, repeated ids, labels other than 0 and 1, rows out of range.
    """

    name: str
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    labels: np.ndarray
    paths: tuple[str, ...]
    keys: tuple[str, ...] | None = None
    sentences: Texts | None = None
    tags: Texts | None = None
    query: np.ndarray | None = None
    database: np.ndarray | None = None
    train: np.ndarray | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.ids)
        if count == 0:
            raise DataError(f"{self.name}: no items found")
        for column in ("labels", "paths", "keys", "sentences", "tags"):
            values = getattr(self, column)
            if values is not None and len(values) != count:
                raise DataError(f"{self.name}: {len(values)} {column} for {count} ids")
        if self.labels.shape != (count, len(self.class_names)) or self.labels.dtype != np.uint8:
            raise DataError(
                f"{self.name}: labels are {self.labels.dtype} {self.labels.shape}, "
                f"expected uint8 {(count, len(self.class_names))}"
            )
        if self.labels.size and self.labels.max() > 1:
            row = int((self.labels > 1).any(axis=1).argmax())
            raise DataError(f"{self.name} item {self.ids[row]}: labels other than 0 and 1")
        if len(set(self.ids)) != count:
            seen: set[str] = set()
            twice = [i for i in self.ids if i in seen or seen.add(i)]  # type: ignore[func-returns-value]
            raise DataError(f"{self.name}: {len(twice)} repeated ids: {', '.join(twice[:5])}")
        for part in ("query", "database", "train"):
            rows = getattr(self, part)
            if rows is not None and len(rows) and not 0 <= rows.min() <= rows.max() < count:
                raise DataError(f"{self.name}: rows of {part!r} outside 0..{count - 1}")

    def select(self, rows: np.ndarray, **facts: str) -> Catalogue:
        """Return the catalogue of some rows, ascending; published lists lose the others."""
        place = np.full(len(self.ids), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))

        def texts(values: Texts | None) -> Texts | None:
            return None if values is None else [values[row] for row in rows]

        def list_of(part: np.ndarray | None) -> np.ndarray | None:
            return None if part is None else place[part][place[part] >= 0]

        return Catalogue(
            name=self.name,
            class_names=self.class_names,
            ids=tuple(self.ids[row] for row in rows),
            labels=self.labels[rows],
            paths=tuple(self.paths[row] for row in rows),
            keys=None if self.keys is None else tuple(self.keys[row] for row in rows),
            sentences=texts(self.sentences),
            tags=texts(self.tags),
            query=list_of(self.query),
            database=list_of(self.database),
            train=list_of(self.train),
            facts={**self.facts, **facts},
        )

    def with_classes(self, class_names: tuple[str, ...], labels: np.ndarray, **facts: str) -> Catalogue:
        """Return the catalogue with other label columns."""
        return replace(self, class_names=class_names, labels=labels, facts={**self.facts, **facts})

    def save(self, path: Path) -> None:
        """Write it as Parquet, atomically."""
        strings = pa.list_(pa.string())
        columns = {
            "id": pa.array(self.ids, pa.string()),
            "path": pa.array(self.paths, pa.string()),
            "label": label_column(self.labels),
        }
        if self.keys is not None:
            columns["key"] = pa.array(self.keys, pa.string())
        for column in ("sentences", "tags"):
            if (texts := getattr(self, column)) is not None:
                columns[column] = pa.array([list(text) for text in texts], strings)
        facts = {f"fact/{name}": value for name, value in self.facts.items()}
        facts |= {"name": self.name, "class_names": "\x1f".join(self.class_names), "version": VERSION}
        for part in ("query", "database", "train"):
            if (rows := getattr(self, part)) is not None:
                facts[part] = ",".join(map(str, rows.tolist()))
        write_table(pa.table(columns), path, facts, "the catalogue")


class CatalogueSource(ItemSource):
    """A saved catalogue with its pictures; texts and paths stay in Arrow memory, which workers share.

    Args:
        path: a file that :meth:`Catalogue.save` wrote.
        pictures: where the pictures are.

    Raises:
        DataError: the file is no catalogue of this version.
    """

    def __init__(self, path: Path, pictures: PictureStore) -> None:
        table, facts = read_table(path, "the catalogue")
        if facts.get("version") != VERSION:
            raise DataError(f"{path}: a catalogue of another version; delete it, it is made again")
        self.name, self.class_names = facts["name"], tuple(facts["class_names"].split("\x1f"))
        self.facts = {key.removeprefix("fact/"): value for key, value in facts.items() if key.startswith("fact/")}
        self.ids = tuple(table["id"].to_pylist())
        self.labels = labels_of(table["label"])
        self.keys = tuple(table["key"].to_pylist()) if "key" in table.column_names else None
        everything = np.arange(len(self.ids), dtype=np.int64)
        self.query_pool = _rows(facts, "query", everything)
        self.database_pool = _rows(facts, "database", everything)
        self.train_pool = _rows(facts, "train", everything) if "train" in facts else None
        self._paths = table["path"].combine_chunks()
        self._texts = {
            name: table[name].combine_chunks() for name in ("sentences", "tags") if name in table.column_names
        }
        self.pictures = pictures

    def image(self, row: int) -> Tensor:
        """Decode one picture; see :meth:`ItemSource.image`."""
        return self.pictures.read(self.path(row))

    def path(self, row: int) -> str:
        """Return where one picture lies; see :meth:`ItemSource.path`."""
        place: str = self._paths[row].as_py()
        return place

    def sentences(self, row: int) -> tuple[str, ...]:
        """Return the captions of one row; see :meth:`ItemSource.sentences`."""
        return self._text("sentences", row)

    def tags(self, row: int) -> tuple[str, ...]:
        """Return the tags of one row; see :meth:`ItemSource.tags`."""
        return self._text("tags", row)

    def _text(self, column: str, row: int) -> tuple[str, ...]:
        return tuple(self._texts[column][row].as_py()) if column in self._texts else ()


def _rows(facts: dict[str, str], part: str, default: np.ndarray) -> np.ndarray:
    text = facts.get(part)
    return default if text is None else np.array(text.split(",") if text else [], dtype=np.int64)
