"""Files below a folder, and members of the archives among them, as one list of places."""

from __future__ import annotations

import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

DEPTH = 4  # folders below the root: wrapper/mirflickr/meta/tags


@dataclass(frozen=True)
class Files:
    """What lies below a folder.

    Attributes:
        paths: files, then members of archives, as :class:`~datamodules.stores.PictureStore` reads them.
        broken: archives that cannot be opened, each with the reason.
    """

    paths: tuple[str, ...]
    broken: tuple[str, ...]

    def fullest(self, pattern: re.Pattern[str]) -> dict[str, str]:
        """Return the paths that match ``pattern``, by its first group, of the folder that holds most of them.

        Half-unpacked archives lie beside whole ones; on a tie, files go before members of archives.
        """
        folders: dict[str, dict[str, str]] = {}
        for path in self.paths:
            if match := pattern.fullmatch(path):
                folders.setdefault(path.rpartition("/")[0], {}).setdefault(match[1], path)
        return max(folders.values(), key=len, default={})


def list_files(root: Path, archive: re.Pattern[str]) -> Files:
    """List the files below a folder, and the members of the archives whose names match; hidden ones are left out."""
    plain: list[str] = []
    for folder, folders, names in os.walk(root, followlinks=True):
        place = Path(folder).relative_to(root).parts
        folders[:] = [] if len(place) == DEPTH else [name for name in folders if _shown(name)]
        plain += ["/".join((*place, name)) for name in names if _shown(name)]
    plain.sort()
    members: list[str] = []
    broken: list[str] = []
    for path in plain:
        if archive.fullmatch(path.rpartition("/")[2]):
            try:
                with zipfile.ZipFile(root / path) as opened:
                    inside = [name for name in opened.namelist() if all(map(_shown, name.split("/")))]
            except Exception as error:  # zipfile lets errors of many types through for damaged archives
                broken.append(f"{path} cannot be opened ({error})")
            else:
                members += [f"{path}/{name}" for name in sorted(inside)]
    return Files((*plain, *members), tuple(broken))


def _shown(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))
