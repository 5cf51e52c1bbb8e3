"""Which process of a distributed run this is."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.utilities import rank_zero_only


def is_first_process() -> bool:
    """Whether this process writes files and prints."""
    marker: Any = rank_zero_only  # Lightning keeps the rank on the decorator
    return int(getattr(marker, "rank", 0)) == 0
