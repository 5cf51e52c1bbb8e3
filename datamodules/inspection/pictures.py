"""Decodes every picture of a data set once, so that a damaged one shows now and not hours into the work."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from datamodules.catalogue import CatalogueSource
from datamodules.checks import Finding, plural
from datamodules.images import JPEG_START, decode
from datamodules.source import DataError, ItemSource
from datamodules.stores import ARRAY

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe")


def check_pictures(source: ItemSource, record: Path) -> list[Finding]:
    """Decode all pictures that are not known to be readable yet.

    Args:
        source: the data set.
        record: file that keeps the ids of readable pictures, so that a killed check goes on where it was and
            the next one only looks at the others. Delete it after exchanging pictures.

    Returns:
        one finding that names all unreadable pictures, and one that names all that are called JPEG and are not.

    Raises:
        DataError: the record cannot be read or written.
    """
    broken = []
    try:
        known = _read_record(record)
        rows = [row for row, sample_id in enumerate(source.ids) if sample_id not in known]
        record.parent.mkdir(parents=True, exist_ok=True)
        with record.open("a", encoding="utf-8") as lines:
            lines.write("\n")
            for row in tqdm(rows, desc="decoding", unit=" pictures", disable=None):
                try:
                    known[source.ids[row]] = _stored_format(source, row)
                except DataError as error:
                    broken.append((source.ids[row], str(error)))
                else:
                    lines.write(json.dumps([source.ids[row], known[source.ids[row]]]) + "\n")
    except OSError as error:
        raise DataError(f"{record}: the record of checked pictures cannot be kept ({error})") from error
    return _findings(source, known, broken)


def _stored_format(source: ItemSource, row: int) -> str:
    """Decode one picture and name its format, empty where pictures are no files."""
    path = source.path(row)
    if not isinstance(source, CatalogueSource) or path is None or ARRAY in path:
        source.image(row)
        return ""
    data = source.pictures.read_bytes(path)
    decode(data, str(source.pictures.root / path))
    if data.startswith(JPEG_START):
        return "JPEG"
    with Image.open(io.BytesIO(data)) as picture:
        return picture.format or "unknown"


def _findings(source: ItemSource, formats: dict[str, str], broken: Sequence[tuple[str, str]]) -> list[Finding]:
    found, renamed = [], []
    for row, sample_id in enumerate(source.ids):
        path, stored = source.path(row) or "", formats.get(sample_id, "")
        if stored not in ("", "JPEG") and path.lower().endswith(JPEG_SUFFIXES):
            renamed.append(f"{path} ({stored})")
    if broken:
        listed = "\n  ".join(message for _, message in broken)
        found.append(Finding("error", f"{len(broken)} of {plural(len(source.ids), 'picture')} unreadable:\n  {listed}"))
    if renamed:
        message = (
            f"{plural(len(renamed), 'picture')} named as JPEG but of another format, which is read all the same:\n  "
        )
        found.append(Finding("warning", message + "\n  ".join(renamed)))
    return found


def _read_record(path: Path) -> dict[str, str]:
    known = {}
    if path.exists():
        for line in path.read_bytes().splitlines():
            with suppress(ValueError, TypeError):  # a killed check may have left half a line
                sample_id, stored = json.loads(line)
                known[str(sample_id)] = str(stored)
    return known
