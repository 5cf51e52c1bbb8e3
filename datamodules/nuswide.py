"""NUS-WIDE: 269,648 Flickr photographs, of which the protocol takes those of the 21 most frequent concepts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from datamodules.layouts import COMMUNITY
from datamodules.layouts.base import Layout
from datamodules.layouts.nus import NUSLayout
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol, stem
from datamodules.splits import SplitSizes

# By descending frequency, the column order of HashNet, DSDH, DeepHash and ProS-GAN.
BY_FREQUENCY = (
    *("sky", "clouds", "person", "water", "animal", "grass", "buildings", "window", "plants", "lake", "ocean"),
    *("road", "flowers", "sunset", "reflection", "rocks", "vehicle", "snow", "tree", "beach", "mountain"),
)
# 0001_2124494179 (archive) or 17_2124494179_3f2a91_m (HashNet)
NAMES = re.compile(r"\d+_(\d+)(?:_[0-9a-z]+(?:_[a-z])?)?", re.ASCII)


def flickr_id(path: str) -> str:
    """Return the Flickr id in a picture's path, as any layout writes it; the file's stem if there is none."""
    found = NAMES.fullmatch(stem(path))
    return stem(path) if found is None else found[1]


def photograph(item_id: str) -> str:
    """Return the Flickr id of an item: of the six photographs listed twice, the second is ``<flickr id>#<row>``."""
    return item_id.partition("#")[0]


def _protocol(name: str, source: str) -> Protocol:
    return Protocol(
        name=name,
        class_names=tuple(sorted(BY_FREQUENCY)),
        legacy_class_names=BY_FREQUENCY,
        sizes=SplitSizes(query=2100, train=10500),
        items=195_834,
        source=source,
        item_id=flickr_id,
        key=photograph,
    )


class NUSWIDE(LocalDataModule):
    """NUS-WIDE (Chua et al., CIVR 2009), multi-label, with tags.

    Both protocols take the images with at least one of the 21 most frequent concepts.
    """

    short_name: ClassVar[str] = "nuswide"
    protocols: ClassVar[dict[str, Protocol]] = {
        "uni": _protocol("uni", "RetPur, Table 5, which follows ProS-GAN (Wang et al., CVPR 2021)"),
        "cross": _protocol("cross", "RetPur, Table 6, which follows TA-DCH (Wang et al., 2023)"),
    }
    layouts: ClassVar[Sequence[Layout]] = (NUSLayout(), *COMMUNITY)
