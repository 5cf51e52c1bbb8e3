"""Layout: one way in which people keep a data set on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from datamodules.catalogue import Catalogue
from datamodules.protocol import Protocol
from datamodules.source import DataError


class Layout(ABC):
    """Reads one layout; its options, if any, never change.

    Attributes:
        title: what a message calls the layout, with the files that it needs.
    """

    title: ClassVar[str]

    @abstractmethod
    def recognise(self, root: Path, protocol: Protocol) -> bool:
        """Tell from names and contents, quickly and without an error, whether ``root`` holds this layout."""

    @abstractmethod
    def read(self, root: Path, protocol: Protocol) -> Catalogue:
        """Read every item of the protocol, labels in the column order that the files have.

        Raises:
            DataError: a file contradicts the layout; the message names file and line.
        """


def find_layout(root: Path, protocol: Protocol, layouts: Sequence[Layout], dataset: str) -> Layout:
    """Return the first layout that ``root`` holds.

    Raises:
        DataError: the folder is missing, or holds none of them; the message lists what was found.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected the files of {dataset}")
    for layout in layouts:
        if layout.recognise(root, protocol):
            return layout
    found = sorted(entry.name + "/" * entry.is_dir() for entry in root.iterdir())
    shown = ", ".join(found[:12]) + (", ..." if len(found) > 12 else "")
    raise DataError(
        f"{root} holds no known layout of {dataset} ({protocol.name}). Found: {shown or 'nothing'}. Supported: "
        + "; ".join(layout.title for layout in layouts)
    )
