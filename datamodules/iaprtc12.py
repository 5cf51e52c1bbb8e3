"""IAPR TC-12: 20,000 photographs with captions, labelled by region (SAIAPR TC-12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from datamodules.layouts.base import Layout
from datamodules.layouts.iapr import IAPRLayout
from datamodules.local import LocalDataModule
from datamodules.protocol import Protocol, last_number
from datamodules.splits import SplitSizes


class IAPRTC12(LocalDataModule):
    """IAPR TC-12 (Grubinger et al., 2006) with labels of SAIAPR TC-12 (Escalante et al., CVIU 2010), multi-label.

    The 255 classes are the label ids that occur, ascending. Loaders that join captions and labels report 19,999
    or 20,000 images; the one that is missing is warned of, no more.
    """

    short_name: ClassVar[str] = "iaprtc12"
    protocols: ClassVar[dict[str, Protocol]] = {
        "cross": Protocol(
            name="cross",
            class_names=(),
            legacy_class_names=(),
            sizes=SplitSizes(query=2000, train=5000),
            items=20_000,
            source="RetPur, Table 6, which follows TA-DCH (Wang et al., 2023)",
            item_id=last_number,
        )
    }
    layouts: ClassVar[Sequence[Layout]] = (IAPRLayout(),)
