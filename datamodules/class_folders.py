"""ClassFoldersDataModule: a folder of pictures per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datamodules.base import DEFAULT_LOADER, DEFAULT_PIXELS
from datamodules.catalogue import Catalogue
from datamodules.catalogued import folders_below, stamps
from datamodules.dataset import Loading
from datamodules.folder import SUFFIXES
from datamodules.images import Pixels
from datamodules.own import OWN_SIZES, OwnPicturesDataModule, check_name, multi_hot_names, shortened
from datamodules.source import DataError
from datamodules.splits import SPLIT_RULE, SplitSizes
from datamodules.text.base import TextFeatures

PARTS = ("query", "database")
# Folders that other tools name after splits: as classes they would be learnt without a word.
SPLIT_FOLDERS = frozenset({*PARTS, "train", "training", "val", "valid", "validation", "test", "testing"})


class ClassFoldersDataModule(OwnPicturesDataModule):
    """Pictures in ``root/<class>/``, or in ``root/query/<class>/`` and ``root/database/<class>/``.

    The latter is a published split. Folders below a class are part of it. Ids are the pictures' relative paths;
    what is no picture by its suffix is passed over, as are hidden files.

    Args:
        root: the folder.
        name: short name for reports; None takes the folder's.
        text: text features; a folder has no texts, so only those that a file holds.
        pixels: size of the pictures.
        splits: sizes of the splits. ``query=None`` takes all of ``root/query``, or else a tenth of the pictures,
            at most 1000.
        loader: batch size and workers.
        cache_dir: folder for catalogues, manifests and features.

    Raises:
        DataError: in ``prepare_data``: no such folder, pictures outside the class folders, a class without
            pictures, names of splits where classes are expected.
    """

    def __init__(
        self,
        root: str,
        name: str | None = None,
        text: TextFeatures | None = None,
        pixels: Pixels = DEFAULT_PIXELS,
        splits: SplitSizes = OWN_SIZES,
        loader: Loading = DEFAULT_LOADER,
        cache_dir: str = "data",
    ) -> None:
        super().__init__(root, name, text, pixels, splits, loader, cache_dir)

    def depends_on(self) -> list[object]:
        """Return what the catalogue depends on; see :meth:`CatalogueDataModule.depends_on`."""
        return ["class folders", self.short_name, stamps(self.root, self.cache_dir)]

    def read_catalogue(self) -> Catalogue:
        """List the pictures; see :meth:`CatalogueDataModule.read_catalogue`."""
        if not self.root.is_dir():
            raise DataError(f"{self.root}: no such folder")
        folders = dict(folders_below(self.root, self.cache_dir))
        depth = self._depth([name for name in folders if name != "." and "/" not in name])
        pictures = sorted(
            name if folder == "." else f"{folder}/{name}"
            for folder, files in folders.items()
            for name in files
            if "." in name and f".{name.rsplit('.', 1)[1].lower()}" in SUFFIXES
        )
        for path in pictures:
            check_name(path, f"{self.root}")
        self._check(pictures, list(folders), depth)
        names, labels = multi_hot_names([[path.split("/")[depth]] for path in pictures])
        first = np.array([path.startswith("query/") for path in pictures])
        return Catalogue(
            name=self.short_name,
            class_names=names,
            ids=tuple(pictures),
            labels=labels,
            paths=tuple(pictures),
            query=np.flatnonzero(first) if depth else None,
            database=np.flatnonzero(~first) if depth else None,
            facts={
                "layout": "a folder per class",
                "label_source": "names of folders",
                "split_source": "folders query and database" if depth else SPLIT_RULE,
            },
        )

    def _depth(self, tops: Sequence[str]) -> int:
        """Return how many folders stand above a class: 1 for a published split, else 0."""
        if set(tops) == set(PARTS):
            return 1
        splits = sorted(SPLIT_FOLDERS.intersection(name.lower() for name in tops))
        if splits and (len(splits) == len(tops) or set(splits) & set(PARTS)):
            raise DataError(
                f"{self.root} holds {', '.join(sorted(tops))}: expected either one folder per class, or the two "
                "folders query and database with one folder per class in each"
            )
        return 0

    def _check(self, pictures: Sequence[str], folders: Sequence[str], depth: int) -> None:
        stray = [path for path in pictures if path.count("/") <= depth]
        if stray:
            raise DataError(f"{self.root}: {len(stray)} pictures are in no class folder:{shortened(stray)}")
        classes = [name for name in folders if name != "." and name.count("/") == depth]
        full = {path.rsplit("/", path.count("/") - depth)[0] for path in pictures}
        if empty := [name for name in classes if name not in full]:
            raise DataError(
                f"{self.root}: {len(empty)} class folders without pictures ({', '.join(sorted(SUFFIXES))}):"
                f"{shortened(empty)}"
            )
        for part in PARTS[: 2 * depth]:
            if not any(path.startswith(f"{part}/") for path in pictures):
                raise DataError(f"{self.root / part} holds no class folders")
        if not pictures:
            raise DataError(f"{self.root} holds no folders: expected one folder of pictures per class")
