"""A data set in memory, encoded pictures, and a cache of Hugging Face below the test's own folder."""

from __future__ import annotations

import io

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.source import ItemSource
from tests.datamodules.pets import parts, saved

__all__ = ["parts", "saved"]  # fixtures of all files


class MemorySource(ItemSource):
    """Plain grey pictures: the grey of row ``r`` is ``r % 256``, so that a test sees which one it got."""

    def __init__(self, ids, labels, query_pool, database_pool, class_names=None, captions=None, size=(6, 6)):
        self.name = "memory"
        self.ids = tuple(ids)
        self.labels = np.asarray(labels, dtype=np.uint8)
        self.class_names = tuple(class_names or (f"class{c}" for c in range(self.labels.shape[1])))
        self.query_pool = np.asarray(query_pool, dtype=np.int64)
        self.database_pool = np.asarray(database_pool, dtype=np.int64)
        self.captions, self.size, self.decoded = captions, size, []

    def image(self, row):
        self.decoded.append(row)
        return torch.full((3, *self.size), row % 256, dtype=torch.uint8)

    def sentences(self, row):
        return () if self.captions is None or self.captions[row] is None else (self.captions[row],)


def make_memory(count=40, queries=10, classes=3, shared=False, order=None, **extra):
    """``count`` items of which the first ``queries`` are the query pool; ``order`` permutes the rows on disk."""
    order = np.arange(count) if order is None else np.asarray(order)
    labels = np.random.default_rng(5).integers(0, 2, (count, classes))[order]
    first, last = np.flatnonzero(order < queries), np.flatnonzero(order >= queries)
    both = np.arange(count)
    pools = (both, both) if shared else (first, last)
    return MemorySource([f"item-{n:03d}" for n in order], labels, *pools, **extra)


@pytest.fixture(scope="session")
def memory():
    return make_memory


@pytest.fixture(scope="session")
def photograph():
    """RGB array with gradients, an edge and noise: like a photograph, hard for a decoder and a resizer."""

    def make(height=53, width=71, seed=0):
        y, x = np.mgrid[0:height, 0:width]
        smooth = np.stack([x * 3.5, y * 4.7, (x + y) * 2.0], axis=-1)
        smooth[height // 3 : height // 2] = 255 - smooth[height // 3 : height // 2]
        noise = np.random.default_rng(seed).normal(0, 12, smooth.shape)
        return (smooth + noise).clip(0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def encode():
    def make(picture, kind="PNG", **options):
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return make


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")
    datasets.disable_progress_bars()
