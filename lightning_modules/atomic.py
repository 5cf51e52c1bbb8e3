"""Files that appear under their name when they are complete: a killed run leaves no half of one behind."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def replaced_at_once(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, which takes its place in one step at the end; folders are made.

    What was there stays if the body fails, and the temporary file goes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def written_at_once(path: Path) -> Iterator[TextIO]:
    """Open a text file for writing, UTF-8 with plain line ends, as :func:`replaced_at_once` does."""
    with replaced_at_once(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file
