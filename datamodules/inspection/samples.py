"""A few pictures of a data set with their labels and texts, always the same ones."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as vF

from datamodules.base import RetrievalDataModule
from datamodules.checks import splits_of
from datamodules.source import DataError
from datamodules.splits import SPLIT_NAMES
from lightning_modules.pictures import data_uri

THUMBNAIL = 160
TINY = 64


@dataclass(frozen=True)
class Sample:
    """One item.

    Attributes:
        sample_id: its id.
        splits: the splits that it is in.
        labels: names of its classes.
        text: its captions or tags; empty for none.
        address: ``data:`` address of the picture; empty where it cannot be decoded.
        size: width and height of the stored picture.
        trouble: why it cannot be decoded.
    """

    sample_id: str
    splits: tuple[str, ...]
    labels: tuple[str, ...]
    text: str
    address: str = ""
    size: tuple[int, int] = (0, 0)
    trouble: str = ""


def draw_samples(module: RetrievalDataModule, count: int = 24) -> tuple[Sample, ...]:
    """Return the first ``count`` used items in the order of sha256("sample" + id), whatever their order on disk."""
    source, splits = module.source, splits_of(module)
    used = np.unique(np.concatenate([splits[name] for name in SPLIT_NAMES])).tolist()
    # A seed of its own: the split rule's order would show queries only.
    chosen = sorted(used, key=lambda row: hashlib.sha256(f"sample{source.ids[row]}".encode()).digest())[:count]
    members = {name: set(splits[name].tolist()) for name in SPLIT_NAMES}
    samples = []
    for row in chosen:
        sample_id, text = source.ids[row], source.caption(row) or ""
        labels = tuple(source.class_names[c] for c in np.flatnonzero(source.labels[row]))
        places = tuple(name for name in SPLIT_NAMES if row in members[name])
        try:
            picture = source.image(row)
        except DataError as error:
            samples.append(Sample(sample_id, places, labels, text, trouble=str(error)))
        else:
            height, width = picture.shape[-2:]
            samples.append(Sample(sample_id, places, labels, text, thumbnail(picture), (width, height)))
    return tuple(samples)


def thumbnail(picture: Tensor) -> str:
    """Return a uint8 ``(3, H, W)`` picture as a ``data:`` address, its longer side at most 160 pixels.

    Tiny pictures stay PNG, because JPEG blurs the colours of neighbouring pixels.
    """
    longer = max(picture.shape[-2:])
    if longer > THUMBNAIL:
        size = [max(1, round(side * THUMBNAIL / longer)) for side in picture.shape[-2:]]
        picture = vF.resize(picture, size, antialias=True)
    pixels = picture.permute(1, 2, 0).contiguous().numpy()
    if longer <= TINY:
        return data_uri(pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
