"""Where listed pictures lie on disk: a list was written on another machine, below another folder."""

from __future__ import annotations

import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datamodules.source import DataError
from datamodules.stores import ARRAY

Places = Mapping[str, Sequence[str]]  # file name -> folders and folders of archives that hold such a file


def listed_path(text: str, where: str) -> str:
    r"""Return a path as a list writes it (absolute, with ``\``, with blanks around it) relative and POSIX.

    Args:
        text: the path.
        where: file and line, for the message.

    Raises:
        DataError: there is no path, or none that may be looked for below a folder.
    """
    parts = [part for part in text.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    if parts and parts[0].endswith(":"):  # a drive
        parts = parts[1:]
    path = "/".join(parts)
    if not parts or ".." in parts or "\0" in path or ARRAY in path:
        raise DataError(f"{where}: {text!r} is no path of a picture")
    return path


def locate(root: Path, listed: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Find listed pictures in the folders and zip archives below ``root``.

    Only the end of a listed path is sure to be right. All pictures of a listed folder are looked for in one
    place: the folder whose path ends most like the listed one, first below ``root`` itself, then below
    ``images``. Only where no picture has two places, so that copies cannot be mixed, may they be spread.

    Args:
        root: the folder that is searched.
        listed: paths that :func:`listed_path` returned.

    Returns:
        One path per listed picture, as :class:`~datamodules.stores.PictureStore` reads it; a picture that is
        not there gets the path where it should be. And a note for a report: which folder was found as which.

    Raises:
        DataError: two folders are equally likely, or two listed pictures would be one file.
    """
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in listed:
        folder, _, name = path.rpartition("/")
        by_folder[folder].append(name)
    places = _places(root, by_folder)
    if not places:  # they may come from elsewhere
        return tuple(listed), "no listed picture is below the folder"
    homes = {folder: _home(root, folder, names, places) for folder, names in by_folder.items()}
    found, used = [], Counter[tuple[str, str]]()
    for path in listed:
        folder, _, name = path.rpartition("/")
        home, spread = homes[folder]
        if spread and name in places:
            home = places[name][0]
        used[folder, home] += 1
        found.append(_join(home, name))
    _check_distinct(root, listed, found)
    return tuple(_relative(path) for path in found), _note(used)


def _places(root: Path, by_folder: Mapping[str, list[str]]) -> Places:
    """Search folders first, and archives for listed folders of which nothing was found."""
    names = {name for group in by_folder.values() for name in group}
    places: dict[str, list[str]] = defaultdict(list)
    archives = []
    for folder, files in _folders(root):
        for name in files:
            if name in names:
                places[name].append(folder)
            elif name.endswith(".zip"):
                archives.append(_relative(_join(folder, name)))
    bare = {name for group in by_folder.values() if places.keys().isdisjoint(group) for name in group}
    if bare:
        for archive in sorted(archives):
            for folder, name in _members(root / archive):
                if name in bare:
                    places[name].append(_join(f"./{archive}", folder))
    return dict(places)


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield folders, written ``.`` or ``./a/b``, with the names of their files; each once, links included."""
    seen = set()
    for folder, below, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = [name for name in below if not name.startswith((".", "__MACOSX"))]
        below.sort(key=lambda name, folder=folder: (os.path.islink(os.path.join(folder, name)), name))  # type: ignore[misc]
        relative = Path(folder).relative_to(root).as_posix()
        yield (relative if relative == "." else f"./{relative}"), files


def _members(archive: Path) -> Iterator[tuple[str, str]]:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.namelist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return  # half an archive of something else is no reason to stop; its pictures count as missing
    for member in dict.fromkeys(members):
        folder, _, name = member.rpartition("/")
        if not member.startswith("__MACOSX"):
            yield folder, name


def _home(root: Path, listed: str, names: list[str], places: Places) -> tuple[str, bool]:
    """Return the folder that a listed folder is, and whether pictures may lie elsewhere: none has two places."""
    holders = Counter(folder for name in names for folder in places.get(name, ()))
    if not holders:
        return _join(".", listed), False
    if all(len(places.get(name, ())) < 2 for name in names):
        return holders.most_common(1)[0][0], True

    def likeness(folder: str) -> tuple[int, bool, bool]:
        return _common_tail(folder, listed), folder == _join(".", listed), folder == _join("./images", listed)

    first, second = sorted(holders, key=lambda folder: (likeness(folder), folder), reverse=True)[:2]
    if likeness(first) == likeness(second):
        pair = " and ".join(sorted((_relative(first), _relative(second))))
        raise DataError(f"{root}: pictures of the listed folder {listed or '.'} are in {pair}; keep only one of them")
    return first, False


def _common_tail(first: str, second: str) -> int:
    pairs = zip(reversed(first.split("/")), reversed(second.split("/")), strict=False)
    return next((count for count, (a, b) in enumerate(pairs) if a != b), min(first.count("/"), second.count("/")) + 1)


def _check_distinct(root: Path, listed: Sequence[str], found: Sequence[str]) -> None:
    owners: dict[str, str] = {}
    for path, place in zip(listed, found, strict=True):
        if owners.setdefault(place, path) != path:
            raise DataError(f"{root}: {owners[place]} and {path} are listed, but only {_relative(place)} is there")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name


def _relative(place: str) -> str:
    return place.removeprefix("./")


def _note(used: Counter[tuple[str, str]]) -> str:
    if all(home == _join(".", folder) for folder, home in used):
        return "where the list says"
    shown = [f"{folder or '.'} is {_relative(home)} ({count})" for (folder, home), count in used.most_common(3)]
    return "; ".join(shown) + (f"; {len(used) - 3} folders more" if len(used) > 3 else "")
