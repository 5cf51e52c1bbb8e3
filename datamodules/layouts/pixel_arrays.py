"""Pixel arrays: all pictures of a data set in one MATLAB or HDF5 file, as DCMH and TA-DCH hand them on."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import ClassVar

import numpy as np

from datamodules.catalogue import Catalogue
from datamodules.layouts.base import Layout
from datamodules.layouts.conversion import Conversion
from datamodules.layouts.item_arrays import array_files, read_labels, read_names
from datamodules.layouts.pixelfile import PixelFile, find_pixels, open_pixel_file
from datamodules.protocol import Protocol
from datamodules.source import DataError

NOTES = (
    "The file states no splits and no class names: splits are drawn, label columns are taken to be in the order of "
    "the community's files"
)


class PixelArrays(Layout):
    """Pixels, labels and text features as arrays with one axis of items.

    DCMH's "Cleared-Set" (Jiang & Li, CVPR 2017) keeps ``IAll``, ``YAll``, ``LAll`` and ``FAll`` in four files,
    copies of it and TA-DCH (Wang et al., 2023) in one. The pixels must have been converted
    (:func:`datamodules.convert.convert`): an item-last array takes one read per byte of a picture, and which axis
    is the height is not stated anywhere.
    """

    title: ClassVar[str] = "pixel arrays (MATLAB or HDF5: IAll or images, four axes; LAll or labels, there or beside)"

    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Look for a file with pixels and labels, by content."""
        del protocol
        try:
            return bool(_pixel_files(root))
        except (DataError, OSError):
            return False

    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read labels and names; pixels stay where they are.

        Ids are the names in ``FAll``, through the protocol, or else ``row-<number>``.

        Raises:
            DataError: pixels that are not converted, with the command that does it; labels of another width than
                the protocol's; whatever is wrong with the arrays.
        """
        file = _choose(root, protocol)
        labels = read_labels(file.labels, file.count)
        width = len(protocol.class_names)
        if labels.shape[1] != width:
            raise DataError(f"{file.labels}: {labels.shape[1]} classes, the protocol {protocol.name!r} has {width}")
        array, conversion = _converted(file, labels)
        ids = _ids(file, protocol)
        facts = {
            "label_source": f"{file.labels.file.name}:{file.labels.key}",
            "notes": NOTES,
            "pixels": f"{file.pixels}, axes {conversion.axes}, H and W by {conversion.orientation.decided_by}, "
            f"sha256 {conversion.fingerprint}",
        }
        if file.text is not None:
            facts["features"] = f"{file.text.file.relative_to(root).as_posix()}#{file.text.key}"
        name = array.relative_to(root).as_posix()
        return Catalogue(
            name=file.pixels.file.stem,
            class_names=protocol.legacy_class_names,
            ids=ids,
            labels=labels,
            paths=tuple(f"{name}#{row}" for row in range(file.count)),
            keys=None if protocol.key is None else tuple(map(protocol.key, ids)),
            facts=facts,
        )


def _pixel_files(root: Path) -> list[PixelFile]:
    """Return the files with pixels and labels; raise what is wrong with the first if none is right."""
    found, errors = [], []
    for file in array_files(root):
        try:
            if find_pixels(file) is not None:
                found.append(open_pixel_file(file))
        except DataError as error:
            errors.append(error)
    if not found and errors:
        raise errors[0]
    return found


def _choose(root: Path, protocol: Protocol) -> PixelFile:
    files = _pixel_files(root)
    if not files:
        raise DataError(f"{root}: no MATLAB or HDF5 file with pixels and labels")
    fitting = [file for file in files if len(protocol.class_names) in file.labels.shape] or files
    if len(fitting) > 1:
        listed = ", ".join(str(file.pixels) for file in fitting)
        raise DataError(f"{root}: several files with pixels, keep one: {listed}")
    return fitting[0]


def _converted(file: PixelFile, labels: np.ndarray) -> tuple[Path, Conversion]:
    """Return the converted array and its record, checked against the original."""
    original = file.pixels.file
    array = original.with_suffix(".npy")
    conversion = Conversion.of(array)
    command = f"python -m datamodules convert {shlex.quote(str(original))}"
    if conversion is None:
        order = "item-last: one picture is scattered over the whole file" if file.item_last else "not converted"
        raise DataError(f"{file.pixels}: pixels are {order}. Convert them once: {command}")
    differs = conversion.mismatch(file, labels)
    if differs is not None:
        raise DataError(f"{array}: converted from other data ({differs}). Delete it, and: {command}")
    conversion.check(array)
    return array, conversion


def _ids(file: PixelFile, protocol: Protocol) -> tuple[str, ...]:
    if file.names is None:
        return tuple(f"row-{row:07d}" for row in range(file.count))
    ids: list[str] = []
    seen: set[str] = set()
    for row, name in enumerate(read_names(file.names, file.count)):
        item_id = protocol.item_id(name)
        # Two items may show one photograph where the protocol can tell: its key undoes this ending.
        ids.append(f"{item_id}#{row}" if protocol.key is not None and item_id in seen else item_id)
        seen.add(item_id)
    return tuple(ids)
