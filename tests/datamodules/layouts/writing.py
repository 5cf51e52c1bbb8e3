"""Writes the files of a data set as its archives hold them, in a folder or in a zip file."""

from __future__ import annotations

import zipfile
from pathlib import Path


def unpack(root, files):
    """Write contents by relative path below a folder."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def pack(path, files):
    """Write contents by relative path to a zip file: a path, or a file that is open."""
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
