"""Options of a data module by their bare names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from datamodules import Loading, Pixels, SplitSizes


def grouped(**options: Any) -> dict[str, Any]:
    """Sort options into ``pixels``, ``splits`` and ``loader``; what belongs to none of them is kept."""
    made = {}
    for name, group in (("pixels", Pixels), ("splits", SplitSizes), ("loader", Loading)):
        own = {field.name: options.pop(field.name) for field in fields(group) if field.name in options}
        made[name] = group(**own)
    return options | made
