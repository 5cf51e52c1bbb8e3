"""CatalogueDataModule: a data set from files on disk, parsed once into a catalogue."""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from datamodules.base import DEFAULT_LOADER, DEFAULT_PIXELS, DEFAULT_SPLITS, RetrievalDataModule
from datamodules.catalogue import VERSION, Catalogue, CatalogueSource
from datamodules.dataset import Loading
from datamodules.images import Pixels
from datamodules.source import DataError, ItemSource
from datamodules.splits import SplitSizes
from datamodules.stores import PictureStore
from datamodules.text.base import TextFeatures


class CatalogueDataModule(RetrievalDataModule):
    """Files below one root, parsed by ``prepare_data`` and kept as a catalogue in the cache.

    A member of the family implements :meth:`read_catalogue` and :meth:`depends_on`.

    Args:
        root: folder with the files.
        label: what the catalogue's file name starts with.
        text: text features; None gives none.
        pixels: size of the pictures.
        splits: sizes of the splits.
        loader: batch size and workers.
        cache_dir: folder for catalogues, manifests and features.
    """

    def __init__(
        self,
        root: str,
        label: str,
        text: TextFeatures | None = None,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = DEFAULT_SPLITS,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
    ) -> None:
        self.root, self._catalogue_name = Path(root), label
        super().__init__(pixels, splits, loader, cache_dir, text)

    @abstractmethod
    def read_catalogue(self) -> Catalogue:
        """Parse the files.

        Raises:
            DataError: whatever is wrong with them.
        """

    @abstractmethod
    def depends_on(self) -> list[object]:
        """Return what the catalogue depends on: the state of the files, and the options."""

    @property
    def catalogue_path(self) -> Path:
        """Where the catalogue of these files and options is kept."""
        facts = [str(self.root.resolve()), self.depends_on(), VERSION]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        return self.cache_dir / "catalogues" / f"{self._catalogue_name}-{digest}.parquet"

    def prepare_data(self) -> None:
        """Parse the files, unless that is done; a killed run leaves nothing half-made behind."""
        path = self.catalogue_path
        if not path.exists():
            self.read_catalogue().save(path)

    def load_source(self) -> ItemSource:
        """Open the catalogue."""
        path = self.catalogue_path
        if not path.exists():
            raise RuntimeError("the data module is not prepared yet: call prepare_data() before setup()")
        return CatalogueSource(path, self.pictures())

    def pictures(self) -> PictureStore:
        """Return the store that the catalogue's paths are read from."""
        return PictureStore(self.root)


def folders_below(root: Path, cache_dir: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield every folder below ``root`` with its files, both sorted; paths are relative and POSIX, ``.`` is the root.

    Hidden folders and files, ``__MACOSX`` and the cache are left out. Links to folders are followed directly below
    ``root`` and nowhere deeper, where they may run in circles.

    Raises:
        DataError: a folder cannot be read.
    """
    cache = cache_dir.resolve()

    def wanted(folder: str) -> bool:
        return not os.path.basename(folder).startswith((".", "__MACOSX")) and Path(folder).resolve() != cache

    def refuse(error: OSError) -> None:  # os.walk would leave the folder out without a word
        raise DataError(f"{error.filename}: the folder cannot be read ({error.strerror})") from error

    links = sorted(str(entry) for entry in root.glob("*") if entry.is_symlink() and entry.is_dir())
    for top in [str(root), *filter(wanted, links)]:
        for folder, inner, files in os.walk(top, onerror=refuse):
            inner[:] = sorted(name for name in inner if wanted(os.path.join(folder, name)))
            yield (
                Path(folder).relative_to(root).as_posix(),
                sorted(name for name in files if not name.startswith(".")),
            )


def stamps(root: Path, cache_dir: Path) -> list[tuple[str, int]]:
    """Return when each folder below ``root`` last gained or lost a file."""
    if not root.is_dir():
        return []
    return [(name, (root / name).stat().st_mtime_ns) for name, _ in folders_below(root, cache_dir) if name != "."]


def check_option(option: str, value: object, allowed: tuple[str, ...]) -> None:
    """Check an option that takes one of a few words.

    Raises:
        DataError: it takes others only.
    """
    if value not in allowed:
        raise DataError(f"{option}={value!r}: expected {' or '.join(map(repr, allowed))}")
