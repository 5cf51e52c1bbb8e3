"""MIRFLICKR-25K: 25,000 photographs from Flickr with tags; Huiskes and Lew, 2008."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from datamodules.layouts import DchmtTrio, HashNetLists, PixelArrays, ProsGanLists
from datamodules.layouts.base import Layout
from datamodules.layouts.mirflickr import MirFlickr
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol, last_number
from datamodules.splits import SplitSizes

TOPICS = (
    "animals", "baby", "bird", "car", "clouds", "dog", "female", "flower", "food", "indoor", "lake", "male",
    "night", "people", "plant_life", "portrait", "river", "sea", "sky", "structures", "sunset", "transport",
    "tree", "water",
)  # fmt: skip
# Where the concept is what the picture is about, not only visible.
RELEVANT = (
    "baby_r1", "bird_r1", "car_r1", "clouds_r1", "dog_r1", "female_r1", "flower_r1", "male_r1", "night_r1",
    "people_r1", "portrait_r1", "river_r1", "sea_r1", "tree_r1",
)  # fmt: skip
# Columns of the label files in https://github.com/xunguangwang/ProS-GAN, an unsorted directory listing.
PROS_GAN = (
    "clouds", "sky", "lake", "tree", "indoor", "female_r1", "portrait", "dog", "river_r1", "flower_r1", "animals",
    "car", "sea", "night", "transport", "sunset", "people", "bird_r1", "flower", "clouds_r1", "food", "baby_r1",
    "sea_r1", "night_r1", "structures", "dog_r1", "car_r1", "water", "baby", "male_r1", "plant_life", "portrait_r1",
    "tree_r1", "bird", "people_r1", "male", "river", "female",
)  # fmt: skip


class FLICKR25K(LocalDataModule):
    """MIRFLICKR-25K, protocols ``uni`` (25,000 items, 38 classes) and ``cross`` (20,015 items, 24 classes)."""

    short_name: ClassVar[str] = "flickr25k"
    protocols: ClassVar[dict[str, Protocol]] = {
        "uni": Protocol(
            name="uni",
            class_names=tuple(sorted(TOPICS + RELEVANT)),
            legacy_class_names=PROS_GAN,
            sizes=SplitSizes(query=1700, train=5000),
            items=25_000,
            source="Table 5 of the paper",
            item_id=last_number,
        ),
        "cross": Protocol(
            name="cross",
            class_names=TOPICS,
            legacy_class_names=TOPICS,
            sizes=SplitSizes(query=2000, train=5000),
            items=20_015,
            source="Table 6 of the paper",
            item_id=last_number,
        ),
    }
    # The HashNet family lists its columns in alphabetical order, ProS-GAN does not.
    layouts: ClassVar[Sequence[Layout]] = (
        *(MirFlickr(), ProsGanLists(), HashNetLists(columns="alphabetical")),
        *(DchmtTrio(), PixelArrays()),
    )
