"""MS-COCO: photographs of 80 kinds of objects in context, with captions; Lin et al., 2014."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from datamodules.layouts import COMMUNITY
from datamodules.layouts.base import Layout
from datamodules.layouts.coco import Coco
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol, last_number
from datamodules.splits import SplitSizes

# Alphabetical, as in the label files of HashNet and https://github.com/xunguangwang/ProS-GAN.
CLASSES = (
    "airplane", "apple", "backpack", "banana", "baseball bat", "baseball glove", "bear", "bed", "bench", "bicycle",
    "bird", "boat", "book", "bottle", "bowl", "broccoli", "bus", "cake", "car", "carrot", "cat", "cell phone",
    "chair", "clock", "couch", "cow", "cup", "dining table", "dog", "donut", "elephant", "fire hydrant", "fork",
    "frisbee", "giraffe", "hair drier", "handbag", "horse", "hot dog", "keyboard", "kite", "knife", "laptop",
    "microwave", "motorcycle", "mouse", "orange", "oven", "parking meter", "person", "pizza", "potted plant",
    "refrigerator", "remote", "sandwich", "scissors", "sheep", "sink", "skateboard", "skis", "snowboard", "spoon",
    "sports ball", "stop sign", "suitcase", "surfboard", "teddy bear", "tennis racket", "tie", "toaster", "toilet",
    "toothbrush", "traffic light", "train", "truck", "tv", "umbrella", "vase", "wine glass", "zebra",
)  # fmt: skip


class MSCOCO(LocalDataModule):
    """MS-COCO 2014 or 2017, 80 classes: ``uni`` takes the 122,218 images with a label, ``cross`` all 123,287.

    The 1,069 images without an instance have no label: as database items they are relevant to nothing, and a
    query among them has an average precision of 0.
    """

    short_name: ClassVar[str] = "mscoco"
    protocols: ClassVar[dict[str, Protocol]] = {
        "uni": Protocol(
            name="uni",
            class_names=CLASSES,
            legacy_class_names=CLASSES,
            sizes=SplitSizes(query=5000, train=10_000),
            items=122_218,
            source="Table 5 of the paper",
            item_id=last_number,
        ),
        "cross": Protocol(
            name="cross",
            class_names=CLASSES,
            legacy_class_names=CLASSES,
            sizes=SplitSizes(query=2000, train=10_000),
            items=123_287,
            source="Table 6 of the paper, with 2,000 queries as in "
            "https://github.com/tswang0116/TA-DCH: with the table's 5,000 its database and total disagree",
            item_id=last_number,
        ),
    }
    layouts: ClassVar[Sequence[Layout]] = (Coco(), *COMMUNITY)
