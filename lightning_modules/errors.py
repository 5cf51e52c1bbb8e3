"""Errors in one line, for messages that say what went wrong underneath."""

from __future__ import annotations


def in_one_line(error: BaseException) -> str:
    """Return type and first line of an error; its type alone if it says nothing."""
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
