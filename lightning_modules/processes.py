"""Which process of a distributed run this is, and what happens to the others."""

from __future__ import annotations

import logging
import sys
from typing import Any

import torch.distributed
from lightning.pytorch.utilities import rank_zero_only

from lightning_modules.errors import in_one_line

ADVICE = "Whatever was finished is stored: the same command goes on from there."


def is_first_process() -> bool:
    """Whether this process writes files and prints."""
    marker: Any = rank_zero_only  # Lightning keeps the rank on the decorator
    return int(getattr(marker, "rank", 0)) == 0


def process_count() -> int:
    """Return the number of processes of a run that is under way, 1 before it is."""
    under_way = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if under_way else 1


def decided_by_first_process(value: bool) -> bool:
    """Return what the first process passed, so that all do the same."""
    decision = [value]
    if process_count() > 1:
        torch.distributed.broadcast_object_list(decision)
    return decision[0]


class _LostProcess(logging.Handler):
    """Says what to do when Lightning finds that a process has died, just before it ends the others."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        print(f"{record.getMessage()}\n{ADVICE}", file=sys.stderr, flush=True)


def advise_on_lost_processes() -> None:
    """Have it said what to do if a process that this one started on another device dies."""
    logger = logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script")
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _LostProcess)]
    logger.addHandler(_LostProcess())
    logger.propagate = False


def advise_on_failure(place: str, error: Exception) -> None:
    """Say that this process of several stops in ``place``: by its own error, or since another one does not answer."""
    process = f"process {torch.distributed.get_rank() + 1} of {process_count()}"
    print(f"{process} stops in {place}, so that all do: {in_one_line(error)}\n{ADVICE}", file=sys.stderr, flush=True)
