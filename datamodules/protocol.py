"""Protocol: which items and classes of a data set an experiment takes, and how they are cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from datamodules.splits import SplitSizes


def stem(path: str) -> str:
    """Return the file name without folder and last suffix: the id of a picture that nothing else names."""
    return PurePosixPath(path.replace("\\", "/").strip()).stem


def last_number(path: str) -> str:
    """Return the last number of a file name without leading zeros: ``COCO_train2014_000000000009.jpg`` is 9."""
    numbers = re.findall(r"\d+", stem(path))
    return str(int(numbers[-1])) if numbers else stem(path)


@dataclass(frozen=True)
class Protocol:
    """One way of using a data set.

    Attributes:
        name: ``uni`` (uni-modal) or ``cross`` (cross-modal).
        class_names: class names in our column order (alphabetical, or the data set's own); empty: the files name
            the classes, and their order stays.
        legacy_class_names: class names in the column order of the community's files; empty as above.
        sizes: queries and training items of the paper; everything else is the database.
        items: number of items of the protocol; another number is reported; 0: any number.
        source: where the numbers come from.
        item_id: turns a picture's path, as any layout writes it, into the item's id.
        key: turns an item id into the name of its photograph, where several items may show one.
    """

    name: str
    class_names: tuple[str, ...]
    legacy_class_names: tuple[str, ...]
    sizes: SplitSizes
    items: int
    source: str
    item_id: Callable[[str], str] = stem
    key: Callable[[str], str] | None = None

    def fill(self, sizes: SplitSizes) -> SplitSizes:
        """Return ``sizes`` with the protocol's numbers in place of None."""
        return replace(
            sizes,
            query=self.sizes.query if sizes.query is None else sizes.query,
            train=self.sizes.train if sizes.train is None else sizes.train,
            database=self.sizes.database if sizes.database is None else sizes.database,
        )
