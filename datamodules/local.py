"""LocalDataModule: a data set from files on disk, parsed once into a catalogue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.base import DEFAULT_LOADER, DEFAULT_PIXELS, RetrievalDataModule
from datamodules.catalogue import VERSION, Catalogue, CatalogueSource
from datamodules.dataset import Loading
from datamodules.images import Pixels
from datamodules.layouts.base import Layout, find_layout
from datamodules.protocol import Protocol
from datamodules.source import DataError, ItemSource
from datamodules.splits import SPLIT_RULE, SplitSizes
from datamodules.stores import PictureStore
from datamodules.text.base import TextFeatures

PROTOCOL_SIZES = SplitSizes(query=None, train=None)


class LocalDataModule(RetrievalDataModule):
    """A benchmark data set with protocols and layouts; a member of the family only lists them.

    Args:
        root: folder with the files, in any supported layout.
        protocol: name of the protocol; None takes the first.
        missing: ``error`` lists all pictures that are not there; ``skip`` leaves them out and says so.
        class_order: ``alphabetical`` is our column order; ``legacy`` that of the community's files, which
            released checkpoints of class-conditional networks need. MAP cannot tell them apart.
        text: text features; None gives none.
        pixels: size of the pictures.
        splits: sizes of the splits; None takes the protocol's.
        loader: batch size and workers.
        cache_dir: folder for catalogues, manifests and features.

    Raises:
        DataError: an unknown option; in ``prepare_data``, whatever is wrong with the files.
    """

    short_name: ClassVar[str]
    protocols: ClassVar[dict[str, Protocol]]
    layouts: ClassVar[Sequence[Layout]]

    def __init__(
        self,
        root: str,
        protocol: str | None = None,
        missing: Literal["error", "skip"] = "error",
        class_order: Literal["alphabetical", "legacy"] = "alphabetical",
        text: TextFeatures | None = None,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = PROTOCOL_SIZES,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
    ) -> None:
        chosen = next(iter(self.protocols)) if protocol is None else protocol
        if chosen not in self.protocols:
            raise DataError(f"protocol={protocol!r}: {self.short_name} has {', '.join(self.protocols)}")
        for option, value, allowed in (
            ("missing", missing, ("error", "skip")),
            ("class_order", class_order, ("alphabetical", "legacy")),
        ):
            if value not in allowed:
                raise DataError(f"{option}={value!r}: expected {' or '.join(map(repr, allowed))}")
        self.protocol, self.root = self.protocols[chosen], Path(root)
        self._missing, self._class_order = missing, class_order
        super().__init__(pixels, splits, loader, cache_dir, text)

    @property
    def protocol_name(self) -> str:
        """Data set and protocol."""
        return f"{self.short_name}/{self.protocol.name}"

    @property
    def catalogue_path(self) -> Path:
        """Where the catalogue of these files and options is kept."""
        entries = sorted((e.name, e.stat().st_mtime_ns) for e in self.root.iterdir()) if self.root.is_dir() else []
        facts = [str(self.root.resolve()), entries, self._missing, self._class_order, VERSION]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        return self.cache_dir / "catalogues" / f"{self.short_name}-{self.protocol.name}-{digest}.parquet"

    def prepare_data(self) -> None:
        """Parse the files, unless that is done; a killed run leaves nothing half-made behind."""
        if not self.catalogue_path.exists():
            self.read_catalogue().save(self.catalogue_path)

    def read_catalogue(self) -> Catalogue:
        """Recognise the layout, read it, and check it."""
        layout = find_layout(self.root, self.protocol, self.layouts, self.short_name)
        catalogue = layout.read(self.root, self.protocol)
        catalogue = _drop_missing(catalogue, PictureStore(self.root), self._missing)
        if len(catalogue.ids) != self.protocol.items:
            rank_zero_warn(
                f"{self.root}: {len(catalogue.ids)} items, the protocol {self.short_name}/{self.protocol.name} has "
                f"{self.protocol.items} ({self.protocol.source})"
            )
        order = self.protocol.class_names if self._class_order == "alphabetical" else self.protocol.legacy_class_names
        published = "published lists" if catalogue.query is not None else SPLIT_RULE
        return _reorder(catalogue, order, layout=layout.title, split_source=published)

    def load_source(self) -> ItemSource:
        """Open the catalogue."""
        if not self.catalogue_path.exists():
            raise RuntimeError("the data module is not prepared yet: call prepare_data() before setup()")
        source = CatalogueSource(self.catalogue_path, PictureStore(self.root))
        if "split_source" not in source.facts or source.facts["split_source"] == SPLIT_RULE:
            self._sizes = self.protocol.fill(self._sizes)
        return source


def _drop_missing(catalogue: Catalogue, pictures: PictureStore, policy: str) -> Catalogue:
    gone = pictures.missing(catalogue.paths)
    if not gone:
        return catalogue
    names = [catalogue.paths[row] for row in gone]
    if policy == "error":
        listed = "\n  ".join(names)
        raise DataError(
            f"{pictures.root}: {len(gone)} of {len(catalogue.ids)} pictures are missing; missing=skip leaves "
            f"them out:\n  {listed}"
        )
    keep = np.setdiff1d(np.arange(len(catalogue.ids)), gone)
    return catalogue.select(keep, missing="\n".join(names))


def _reorder(catalogue: Catalogue, names: Sequence[str], **facts: str) -> Catalogue:
    if set(names) != set(catalogue.class_names):
        raise DataError(f"{catalogue.name}: classes {catalogue.class_names}, expected {tuple(names)} in any order")
    columns = [catalogue.class_names.index(name) for name in names]
    return catalogue.with_classes(tuple(names), catalogue.labels[:, columns], **facts)
