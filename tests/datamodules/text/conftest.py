"""A data set of texts only."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.source import ItemSource


class TextSource(ItemSource):
    """Items with captions or tags; the last rows are the database unless rows are given."""

    def __init__(self, captions=None, tags=None, database=None, ids=None):
        count = len(captions if captions is not None else tags)
        self.name, self.class_names = "texts.v2", ("a",)
        self.ids = tuple(ids or (f"t{row}" for row in range(count)))
        self.labels = np.ones((count, 1), dtype=np.uint8)
        self.query_pool = np.arange(count)
        self.database_pool = np.arange(count) if database is None else np.asarray(database, dtype=np.int64)
        self._captions, self._tags = captions, tags

    def image(self, row):
        raise AssertionError("text features need no picture")

    def sentences(self, row):
        return () if self._captions is None else tuple(self._captions[row])

    def tags(self, row):
        return () if self._tags is None else tuple(self._tags[row])


@pytest.fixture(scope="session")
def texts():
    return TextSource
