"""HubPictures: rows of a Hugging Face data set as the pictures of a benchmark whose labels and splits are on disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
from torch import Tensor

from datamodules.catalogue import Catalogue
from datamodules.images import decode
from datamodules.source import DataError
from datamodules.stores import PictureStore

ROW = "hub#"
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubPictures:
    """Where pictures come from that are not on disk.

    Rows are joined with the items of the benchmark by the photograph's own number or name, never by their place.

    Attributes:
        path: Hub id, or a folder of parquet files or one that ``save_to_disk`` wrote.
        id_column: column with the COCO or Flickr number, or with a file name that ends in it.
        image_column: column of pictures.
        split: split of the data set; several as ``train+validation``.
        revision: commit of the Hub repository, 40 hexadecimal digits: rows of another one may differ. Needed for a
            Hub id.
        config_name: configuration of the data set, where it has several.

    Raises:
        DataError: a Hub id without a commit.
    """

    path: str
    id_column: str
    image_column: str = "image"
    split: str = "train"
    revision: str | None = None
    config_name: str | None = None

    def __post_init__(self) -> None:
        if not Path(self.path).exists() and not COMMIT.fullmatch(self.revision or ""):
            raise DataError(
                f"hub.revision={self.revision!r}: pictures of the Hub repository {self.path!r} need a commit "
                "(40 hexadecimal digits); a branch may change under a published result"
            )

    @property
    def title(self) -> str:
        """What reports say."""
        pinned = f"@{self.revision}" if self.revision else ""
        return f"{self.path}{pinned}, split {self.split}, joined by {self.id_column}"

    def open(self) -> datasets.Dataset:
        """Open the rows, undecoded.

        Raises:
            DataError: it cannot be loaded, or lacks a column.
        """
        try:
            if (Path(self.path) / "state.json").exists():
                rows: Any = datasets.load_from_disk(self.path)
            else:
                rows = datasets.load_dataset(self.path, self.config_name, split=self.split, revision=self.revision)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise DataError(f"hub.path={self.path!r}: cannot be loaded ({type(error).__name__}: {error})") from error
        for option, column in (("id_column", self.id_column), ("image_column", self.image_column)):
            if column not in rows.column_names:
                raise DataError(f"hub.{option}={column!r}: {self.path} has the columns {rows.column_names}")
        if not isinstance(rows.features[self.image_column], datasets.Image):
            raise DataError(f"hub.image_column={self.image_column!r}: {self.path} has no pictures there")
        rows = rows.with_format(None).select_columns([self.id_column, self.image_column])
        return rows.cast_column(self.image_column, datasets.Image(decode=False))

    def join(self, catalogue: Catalogue, item_id: Callable[[str], str]) -> Catalogue:
        """Let the items of a catalogue take their pictures from here.

        Args:
            catalogue: of the benchmark.
            item_id: turns the value of ``id_column`` into the name of a photograph.

        Raises:
            DataError: two rows claim the same item.
        """
        row_of: dict[str, int] = {}
        photographs = catalogue.ids if catalogue.keys is None else catalogue.keys
        wanted = set(photographs)
        for row, value in enumerate(self.open().select_columns([self.id_column])[self.id_column]):
            item = item_id(str(value))
            if item in wanted and row_of.setdefault(item, row) != row:
                raise DataError(f"{self.path}: rows {row_of[item]} and {row} both have {self.id_column} {value!r}")
        paths = tuple(f"{ROW}{row_of.get(item, f'no row of {item}')}" for item in photographs)
        return replace(catalogue, paths=paths, facts={**catalogue.facts, "picture_source": self.title})


class HubStore(PictureStore):
    """Reads ``hub#ROW`` paths; the data set is opened once per process.

    Args:
        root: the folder of the labels.
        hub: where the pictures are.
    """

    def __init__(self, root: Path, hub: HubPictures) -> None:
        super().__init__(root)
        self._hub = hub
        self._rows: datasets.Dataset | None = None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_hub": self._hub, "_rows": None}

    @property
    def where(self) -> str:
        """Where the pictures are, for messages."""
        return self._hub.title

    def read(self, path: str) -> Tensor:
        """Return a picture; see :meth:`PictureStore.read`."""
        if self._rows is None:
            self._rows = self._hub.open()
        value = self._rows[int(path.removeprefix(ROW))][self._hub.image_column]
        name = f"{self._hub.path} {path}"
        if value is None or (value["bytes"] is None and value["path"] is None):
            raise DataError(f"{name}: the picture is missing")
        return decode(Path(value["path"]).read_bytes() if value["bytes"] is None else value["bytes"], name)

    def missing(self, paths: Sequence[str]) -> list[int]:
        """Return the positions of items without a row."""
        return [place for place, path in enumerate(paths) if not path.removeprefix(ROW).isdecimal()]
