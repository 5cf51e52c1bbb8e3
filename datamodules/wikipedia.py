"""The Wikipedia data set: 2,866 sections of featured articles with a picture each, and data kept like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from datamodules.layouts.base import Layout
from datamodules.layouts.wikipedia import WikipediaLayout
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol
from datamodules.splits import SplitSizes

# In the order of their numbers 1..10, which is alphabetical.
CATEGORIES = (
    *("art", "biology", "geography", "history", "literature"),
    *("media", "music", "royalty", "sport", "warfare"),
)


class Wikipedia(LocalDataModule):
    """The Wikipedia data set (Rasiwasia et al., ACM MM 2010; Pereira et al., TPAMI 2014), one label per pair.

    Queries are the published test list; the database is the training list, and so are the training items.
    """

    short_name: ClassVar[str] = "wikipedia"
    protocols: ClassVar[dict[str, Protocol]] = {
        "cross": Protocol(
            name="cross",
            class_names=CATEGORIES,
            legacy_class_names=CATEGORIES,
            sizes=SplitSizes(query=693, train=2173),
            items=2866,
            source="the published lists; RetPur, Table 6, which follows TA-DCH (Wang et al., 2023)",
        )
    }
    layouts: ClassVar[Sequence[Layout]] = (WikipediaLayout(),)


class WikipediaFolder(LocalDataModule):
    """One's own pictures and texts in the file layout of the Wikipedia data set.

    Categories are those of ``categories.list``, or else the sorted folders of ``images/``, or else the numbers
    that the lists use. The data set is called like its folder.
    """

    short_name: ClassVar[str] = "wikipedia-folder"
    protocols: ClassVar[dict[str, Protocol]] = {
        "cross": Protocol(
            name="cross",
            class_names=(),
            legacy_class_names=(),
            sizes=SplitSizes(query=None, train=None),
            items=0,
            source="the lists of the folder",
        )
    }
    layouts: ClassVar[Sequence[Layout]] = (WikipediaLayout(),)
