"""LocalDataModule: a benchmark data set from files on disk, in any of the layouts that people keep it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import ClassVar, Literal

from lightning.pytorch.utilities import rank_zero_warn

from datamodules.base import DEFAULT_LOADER, DEFAULT_PIXELS
from datamodules.catalogue import Catalogue
from datamodules.catalogued import CatalogueDataModule, check_option
from datamodules.dataset import Loading
from datamodules.hub_pictures import HubPictures, HubStore
from datamodules.images import Pixels
from datamodules.layouts.base import Layout, find_layout
from datamodules.missing import Missing, drop_missing
from datamodules.protocol import Protocol
from datamodules.source import DataError, ItemSource
from datamodules.splits import SPLIT_RULE, SplitSizes
from datamodules.stores import PictureStore
from datamodules.text.base import TextFeatures

PROTOCOL_SIZES = SplitSizes(query=None, train=None)


class LocalDataModule(CatalogueDataModule):
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
        hub: pictures from a Hugging Face data set; ``root`` then holds labels and splits only.

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
        missing: Missing = "error",
        class_order: Literal["alphabetical", "legacy"] = "alphabetical",
        text: TextFeatures | None = None,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = PROTOCOL_SIZES,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
        hub: HubPictures | None = None,
    ) -> None:
        chosen = next(iter(self.protocols)) if protocol is None else protocol
        if chosen not in self.protocols:
            raise DataError(f"protocol={protocol!r}: {self.short_name} has {', '.join(self.protocols)}")
        check_option("missing", missing, ("error", "skip"))
        check_option("class_order", class_order, ("alphabetical", "legacy"))
        self.protocol = self.protocols[chosen]
        self._missing, self._class_order, self._hub = missing, class_order, hub
        super().__init__(root, f"{self.short_name}-{chosen}", text, pixels, splits, loader, cache_dir)

    @property
    def protocol_name(self) -> str:
        """Data set and protocol."""
        return f"{self.short_name}/{self.protocol.name}"

    def depends_on(self) -> list[object]:
        """Return what the catalogue depends on; see :meth:`CatalogueDataModule.depends_on`."""
        cache = self.cache_dir.resolve()  # it may lie below the root, and changes while it is filled
        entries = self.root.iterdir() if self.root.is_dir() else ()
        found = [entry for entry in entries if entry.exists() and entry.resolve() != cache]
        return [
            sorted((e.name, e.stat().st_mtime_ns) for e in found),
            self._missing,
            self._class_order,
            self._hub and asdict(self._hub),
        ]

    def read_catalogue(self) -> Catalogue:
        """Recognise the layout, read it, and check it."""
        layout = find_layout(self.root, self.protocol, self.layouts, self.short_name)
        catalogue = layout.read(self.root, self.protocol)
        if self.protocol.class_names:  # a general layout cannot know the name; a folder is called after itself
            catalogue = replace(catalogue, name=self.short_name)
        if self._hub is not None:
            catalogue = self._hub.join(catalogue, self.protocol.item_id)
        catalogue = drop_missing(catalogue, self.pictures(), self._missing)
        if self.protocol.items and len(catalogue.ids) != self.protocol.items:
            rank_zero_warn(
                f"{self.root}: {len(catalogue.ids)} items, the protocol {self.short_name}/{self.protocol.name} has "
                f"{self.protocol.items} ({self.protocol.source})"
            )
        order = self.protocol.class_names if self._class_order == "alphabetical" else self.protocol.legacy_class_names
        published = "published lists" if catalogue.query is not None else SPLIT_RULE
        return _reorder(catalogue, order or catalogue.class_names, layout=layout.title, split_source=published)

    def pictures(self) -> PictureStore:
        """Return the store of the pictures; see :meth:`CatalogueDataModule.pictures`."""
        return super().pictures() if self._hub is None else HubStore(self.root, self._hub)

    def load_source(self) -> ItemSource:
        """Open the catalogue."""
        source = super().load_source()
        if source.facts.get("split_source", SPLIT_RULE) == SPLIT_RULE:
            self._sizes = self.protocol.fill(self._sizes)
        return source


def _reorder(catalogue: Catalogue, names: Sequence[str], **facts: str) -> Catalogue:
    if set(names) != set(catalogue.class_names):
        raise DataError(f"{catalogue.name}: classes {catalogue.class_names}, expected {tuple(names)} in any order")
    columns = [catalogue.class_names.index(name) for name in names]
    return catalogue.with_classes(tuple(names), catalogue.labels[:, columns], **facts)
