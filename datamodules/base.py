"""RetrievalDataModule: one data set in four splits, for every LightningModule of the suite."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from datamodules.dataset import Item, Loading, RetrievalDataset, collate
from datamodules.feature_cache import FeatureCache
from datamodules.images import Pixels, Resize
from datamodules.manifest import fingerprint, text_fingerprint, write_manifest
from datamodules.parquet import read_facts
from datamodules.pixel_cache import PixelCache
from datamodules.source import DataError, ItemSource
from datamodules.splits import SPLIT_NAMES, SPLIT_RULE, Splits, SplitSizes, make_splits
from datamodules.text.base import TextFeatures, TextTable
from lightning_modules.types import Batch

# Frozen, hence shared.
DEFAULT_PIXELS, DEFAULT_SPLITS, DEFAULT_LOADER = Pixels(), SplitSizes(), Loading()
CACHE_PROBES = 16


class RetrievalDataModule(LightningDataModule):
    """Train, validation, query and database splits of one data set.

    A member of the family implements :meth:`load_source` (and ``prepare_data`` where files must be made
    first). ``val_dataloader`` and ``test_dataloader`` return ``[database, queries]``, in that order and
    unshuffled.

    Args:
        pixels: size of the pictures.
        splits: sizes of the splits, and their seed.
        loader: batch size and workers.
        cache_dir: folder for manifests, features and generated data.
        text: text features of every item; None gives none.
    """

    def __init__(
        self,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = DEFAULT_SPLITS,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
        text: TextFeatures | None = None,
    ) -> None:
        super().__init__()
        if splits.val_database < 1:
            raise DataError(f"splits.val_database={splits.val_database}: expected at least 1 item")
        self.pixels, self.loader = pixels, loader
        self.cache_dir = Path(cache_dir)
        self._sizes, self._resize = splits, Resize(pixels)
        self._state: tuple[ItemSource, Splits, str] | None = None
        self._features = text
        self._text: TextTable | None = None
        self._cache: PixelCache | None = None
        self._image_features: FeatureCache | None = None

    @abstractmethod
    def load_source(self) -> ItemSource:
        """Open the data set; called once per process, after ``prepare_data``."""

    def setup(self, stage: str | None = None) -> None:
        """Open the source, draw the splits, decode one picture of each, write the manifest; once for all stages."""
        del stage
        if self._state is not None:
            return
        source = self.load_source()
        splits = make_splits(source, self._sizes)
        for name in SPLIT_NAMES:  # unreadable pictures show now, not hours into the work
            for row in splits[name][:1]:
                source.image(int(row))
        mark = fingerprint(source.ids, source.labels, splits, source.class_names, self.protocol_name)
        text_mark = text_fingerprint(source, splits)
        if self._features is not None:
            self._text = self._features.table(source, self.cache_dir)
        self._state = (source, splits, mark)
        if self.pixels.cache:
            self._cache = self._open_cache(source)
        facts = {"fingerprint": mark, "rule": SPLIT_RULE, "seed": str(self._sizes.seed), "name": source.name}
        facts |= {"text_fingerprint": text_mark, "protocol": self.protocol_name, **source.facts}
        facts["class_names"] = "\x1f".join(source.class_names)
        if read_facts(self.manifest_path) != facts:  # none yet, or that of another layout or other texts
            write_manifest(source, splits, self.manifest_path, facts)

    def _open_cache(self, source: ItemSource) -> PixelCache:
        """Open the cache of these pictures at this size, whatever their splits and labels."""
        name = f"{source.name}-{self.pixels.size}px-{self._pictures_digest(source)[:12]}.npy"
        return PixelCache(self.cache_dir / "pixels" / name, len(source.ids), self.pixels.size)

    def _pictures_digest(self, source: ItemSource) -> str:
        """Hash what the pictures are, at this size; ids may be no more than numbers, so some pictures are in it."""
        digest = hashlib.sha256(repr((source.ids, self.pixels.facts)).encode())
        for row in np.linspace(0, len(source.ids) - 1, CACHE_PROBES).astype(np.int64).tolist():
            digest.update(_picture_bytes(source, row))
        return digest.hexdigest()

    def use_features(self, extract: Callable[[Tensor], Tensor], width: int, extractor: str, stage: str) -> None:
        """Let features of a frozen extractor stand in for the pictures in every loader made from now on.

        Args:
            extract: see :meth:`keep_features`.
            width: see there.
            extractor: see there.
            stage: ``fit``, ``validate`` or ``test``: whose items are needed.

        Raises:
            DataError: the features cannot be kept there.
        """
        validated = (self.rows("val"), self._ranked_in_validation())
        wanted = {
            "fit": (self.rows("train"), *validated),
            "validate": validated,
            "test": (self.rows("database"), self.rows("query")),
        }
        self._image_features = self.keep_features(extract, width, extractor, np.concatenate(wanted[stage]))

    def keep_features(
        self, extract: Callable[[Tensor], Tensor], width: int, extractor: str, rows: np.ndarray
    ) -> FeatureCache:
        """Return what a frozen extractor makes of some pictures.

        Features are computed once and kept in ``cache_dir/features`` under what the pictures and the extractor are;
        a killed run goes on where it stopped.

        Args:
            extract: maps images float ``(B, 3, H, W)`` in [0, 1] to features ``(B, width)``.
            width: of a feature vector.
            extractor: digest of its weights and options.
            rows: rows of the source that are needed.

        Raises:
            DataError: the features cannot be kept there.
        """
        source = self.source
        key = hashlib.sha256(f"{self._pictures_digest(source)}{extractor}".encode()).hexdigest()
        cache = FeatureCache(self.cache_dir / "features" / f"{source.name}-{key[:16]}.npy", len(source.ids), width)
        missing = cache.missing(np.unique(rows))
        for batch in tqdm(self._pictures(missing), "image features", disable=not len(missing), leave=False):
            cache.write(missing[batch.index.numpy()], extract(batch.to("cpu").image))
        return cache

    def _pictures(self, rows: np.ndarray) -> DataLoader:
        return self.loader.over(RetrievalDataset(self.source, rows, self._resize, cache=self._cache))

    def image_features(self, split: str) -> Tensor:
        """Return the features of a split that :meth:`use_features` was asked for, float32 ``(n, width)``."""
        if self._image_features is None:
            raise RuntimeError("no features of a frozen extractor are in use: call use_features() first")
        return self._image_features.rows(self.rows(split))

    def text_features(self, split: str) -> Tensor:
        """Return the text features of a split, float32 ``(n, d)``.

        Raises:
            DataError: the data module was asked for none.
        """
        if self._text is None:
            raise DataError(f"{self.dataset_name} has no text features: set the option text of the data module")
        return torch.stack([self._text[row] for row in self.rows(split).tolist()])

    @property
    def text_width(self) -> int | None:
        """Width of the text features; None without."""
        return None if self._text is None else self._text.width

    @property
    def manifest_path(self) -> Path:
        """Where the manifest of these splits is kept."""
        return self.cache_dir / "manifests" / f"{self.dataset_name}-{self.fingerprint[:12]}.parquet"

    @property
    def text_title(self) -> str:
        """Which text features the items have; empty for none."""
        return "" if self._features is None else self._features.title

    @property
    def protocol_name(self) -> str:
        """Name of the protocol, for the fingerprint; empty where a data set has only one."""
        return ""

    @property
    def _ready(self) -> tuple[ItemSource, Splits, str]:
        if self._state is None:
            raise RuntimeError("the data module is not set up yet: call prepare_data() and setup() first")
        return self._state

    @property
    def source(self) -> ItemSource:
        """The open data set."""
        return self._ready[0]

    @property
    def dataset_name(self) -> str:
        """Short name of the data set."""
        return self.source.name

    @property
    def pixel_facts(self) -> dict[str, object]:
        """What the pixels of every split depend on: for cache keys."""
        val = hashlib.sha256("\n".join(self.ids("val")).encode()).hexdigest()  # no part of the fingerprint
        return {"fingerprint": self.fingerprint, "val": val[:16], **self.pixels.facts}

    @property
    def fingerprint(self) -> str:
        """sha256 of ids, labels and splits."""
        return self._ready[2]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The ``C`` class names, in label column order."""
        return self.source.class_names

    @property
    def num_classes(self) -> int:
        """``C``."""
        return len(self.class_names)

    def rows(self, split: str) -> np.ndarray:
        """Return the source rows of a split, ascending; ``val_database`` is the database without ``val``."""
        return self._ready[1][split]

    def labels(self, split: str) -> Tensor:
        """Return the labels of a split without decoding pictures, uint8 ``(n, C)``."""
        return torch.from_numpy(self.source.labels[self.rows(split)])

    def ids(self, split: str) -> tuple[str, ...]:
        """Return the sample ids of a split."""
        return tuple(self.source.ids[row] for row in self.rows(split))

    def dataset(self, split: str, rows: slice = slice(None)) -> RetrievalDataset:
        """Return a split, or some of its rows, as a map-style data set."""
        return self._dataset(self.rows(split)[rows])

    def _dataset(self, rows: np.ndarray) -> RetrievalDataset:
        return RetrievalDataset(self.source, rows, self._resize, self._text, self._cache, self._image_features)

    def collate(self, items: list[Item]) -> Batch:
        """Stack items of :meth:`dataset` to a batch, images as uint8."""
        return collate(items)

    def train_dataloader(self) -> DataLoader:
        """Return the shuffled training items."""
        return self.loader.over(self.dataset("train"), shuffle=True)

    def val_dataloader(self) -> list[DataLoader]:
        """Return ``[part of the database without the validation queries, validation queries]``, or nothing."""
        if len(self.rows("val")) == 0:
            return []  # Lightning validates nothing
        database = self._dataset(self._ranked_in_validation())
        return [self.loader.over(database), self.loader.over(self.dataset("val"))]

    def _ranked_in_validation(self) -> np.ndarray:
        """Evenly spread, so that a database sorted by class is still represented."""
        rows = self.rows("val_database")
        keep = min(self._sizes.val_database, len(rows))
        return rows[np.linspace(0, len(rows) - 1, keep).astype(np.int64)]

    def test_dataloader(self) -> list[DataLoader]:
        """Return ``[database, queries]``."""
        return [self.loader.over(self.dataset("database")), self.loader.over(self.dataset("query"))]

    def predict_dataloader(self) -> DataLoader:
        """Return the queries."""
        return self.loader.over(self.dataset("query"))


def _picture_bytes(source: ItemSource, row: int) -> bytes:
    try:
        return source.image(row).numpy().tobytes()
    except DataError as error:  # of no split, else it would have been refused
        return str(error).encode()
