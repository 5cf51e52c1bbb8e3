"""The cache key of a stage: one hash of all facts that its results depend on. ``stages.py`` says which these are."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def content_key(facts: dict[str, Any]) -> str:
    """Hash facts to a key: SHA-256 of their canonical JSON.

    Args:
        facts: plain values; for a stage its name, version, parameters, seed, and the keys of what it is
            made from.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
