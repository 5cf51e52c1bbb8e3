"""Any Hugging Face data set: Hub id, parquet or image folder, or an Arrow folder written by save_to_disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
from torch import Tensor

from datamodules.base import DEFAULT_LOADER, DEFAULT_PIXELS, DEFAULT_SPLITS, RetrievalDataModule
from datamodules.dataset import Loading
from datamodules.images import Pixels, decode, read
from datamodules.labels import multi_hot
from datamodules.source import DataError, ItemSource
from datamodules.splits import SplitSizes
from datamodules.text.base import TextFeatures


class HuggingFaceSource(ItemSource):
    """Rows of one or two splits of a Hugging Face data set, memory-mapped.

    Args:
        name: short name used in reports.
        parts: ``(split name, rows)`` in order; ids are ``<split>-<row>``.
        image_column: column of type Image.
        label_column: class label, list of class labels, 0/1 vector, or strings.
        text_column: column of captions, or None.
        query_split: name of the part that queries are drawn from.
        database_split: name of the part that all other items are drawn from.
    """

    def __init__(
        self,
        name: str,
        parts: list[tuple[str, datasets.Dataset]],
        image_column: str,
        label_column: str,
        text_column: str | None,
        query_split: str,
        database_split: str,
    ) -> None:
        self.name = name
        self._image_column, self._text_column = image_column, text_column
        columns = list(dict.fromkeys([image_column, label_column, *([text_column] if text_column else [])]))
        for split, part in parts:
            _check_columns(split, part, columns)
        # A format set before save_to_disk would hand out tensors; columns that nobody reads may differ.
        rows = [part.with_format(None).select_columns(columns) for _, part in parts]
        rows = [part.cast_column(image_column, datasets.Image(decode=False)) for part in rows]
        try:
            self._rows = datasets.concatenate_datasets(rows)
        except ValueError as error:
            raise DataError(f"{name}: splits {[split for split, _ in parts]} differ in a column ({error})") from error
        self.ids = tuple(f"{split}-{row:07d}" for split, part in parts for row in range(len(part)))
        feature, labels = self._rows.features[label_column], self._rows.select_columns([label_column])
        self.labels, self.class_names = multi_hot(labels, label_column, feature, self.ids)
        self._texts = self._rows.select_columns([text_column]) if text_column else None
        if not self.class_names:
            raise DataError(f"{name} column {label_column!r}: no row has a class")
        for column in (image_column, *([text_column] if text_column else [])):
            self._check_present(column)
        offsets, start = {}, 0
        for split, part in parts:
            offsets[split] = np.arange(start, start + len(part), dtype=np.int64)
            start += len(part)
        self.query_pool, self.database_pool = offsets[query_split], offsets[database_split]

    def image(self, row: int) -> Tensor:
        """Decode one picture; see :meth:`ItemSource.image`."""
        value = self._rows[row][self._image_column]
        name = f"{self.name} row {self.ids[row]} column {self._image_column!r}"
        if value["bytes"] is not None:
            return decode(value["bytes"], name)
        if value["path"] is None:
            raise DataError(f"{name}: the picture is missing")
        return read(Path(value["path"]))

    def sentences(self, row: int) -> tuple[str, ...]:
        """Return the caption of one row; see :meth:`ItemSource.sentences`."""
        return () if self._texts is None else (str(self._texts[row][self._text_column]),)

    def _check_present(self, column: str) -> None:
        values = self._rows.select_columns([column]).with_format("arrow")[:][column]
        if values.null_count:  # known to Arrow without reading the values
            row = values.is_null().to_pylist().index(True)
            raise DataError(
                f"{self.name} row {self.ids[row]} column {column!r}: no value, as in {values.null_count} rows in all"
            )


class HuggingFaceDataModule(RetrievalDataModule):
    """A Hugging Face data set as a retrieval experiment.

    Args:
        path: Hub id (``uoft-cs/cifar10``), a folder of parquet files or pictures, or an Arrow folder written
            by ``save_to_disk``.
        image_column: column of pictures.
        label_column: column of labels: ClassLabel, list of ClassLabel, 0/1 vector, or class names.
        text_column: column of captions, if there are any.
        query_split: split that queries are drawn from.
        database_split: split that database, training and validation items are drawn from; may be the same.
        config_name: configuration of the data set, where it has several.
        revision: Hub revision; pin it for published numbers.
        name: short name for reports; default the last part of ``path``.
        pixels: see :class:`~datamodules.base.RetrievalDataModule`, as are all that follow.
        splits: sizes of the splits.
        loader: batch size and workers.
        cache_dir: folder for manifests.
        text: text features, made of the captions in ``text_column``; None gives none.

    Raises:
        DataError: in ``setup``, for an unknown path, split or column.
    """

    def __init__(
        self,
        path: str,
        image_column: str = "image",
        label_column: str = "label",
        text_column: str | None = None,
        query_split: str = "test",
        database_split: str = "train",
        config_name: str | None = None,
        revision: str | None = None,
        name: str | None = None,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = DEFAULT_SPLITS,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
        text: TextFeatures | None = None,
    ) -> None:
        super().__init__(pixels, splits, loader, cache_dir, text)
        self.path, self._short_name = path, name or Path(path).name
        self._columns = {"image_column": image_column, "label_column": label_column, "text_column": text_column}
        self._splits = {"query_split": query_split, "database_split": database_split}
        self._config_name, self._revision = config_name, revision

    def load_source(self) -> ItemSource:
        """Open the data set at ``path``."""
        found = self._load()
        if isinstance(found, datasets.Dataset):
            found = self._single(found)
        names = dict.fromkeys([self._splits["database_split"], self._splits["query_split"]])
        for split in names:
            if split not in found:
                raise DataError(f"{self.path}: no split {split!r}, found {sorted(found)}")
        parts = [(split, found[split]) for split in names]
        return HuggingFaceSource(self._short_name, parts, **self._columns, **self._splits)  # type: ignore[arg-type]

    def _load(self) -> Any:
        folder = Path(self.path)
        try:
            if any((folder / mark).exists() for mark in ("dataset_dict.json", "state.json")):
                return datasets.load_from_disk(self.path)
            return datasets.load_dataset(self.path, self._config_name, revision=self._revision)
        # RuntimeError: loading scripts are refused
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise DataError(
                f"data path {self.path!r} cannot be loaded: expected a Hub id, a folder of parquet files or "
                f"pictures, or an Arrow folder ({type(error).__name__}: {error})"
            ) from error

    def _single(self, only: datasets.Dataset) -> dict[str, datasets.Dataset]:
        names = set(self._splits.values())
        if len(names) > 1:  # the same picture would be a query and an item of the database
            raise DataError(
                f"{self.path} is a single split: give query_split and database_split the same name, got {sorted(names)}"
            )
        return dict.fromkeys(names, only)


def _check_columns(split: str, part: datasets.Dataset, wanted: list[str]) -> None:
    for column in wanted:
        if column not in part.column_names:
            raise DataError(f"split {split!r} has no column {column!r}, found {part.column_names}")
    image_column = wanted[0]
    if not isinstance(part.features[image_column], datasets.Image):
        raise DataError(f"column {image_column!r} holds {part.features[image_column]}, expected pictures (Image)")
