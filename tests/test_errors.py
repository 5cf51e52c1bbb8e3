"""Errors in one line."""

import pytest

from lightning_modules.errors import in_one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (RuntimeError("\n  first  \nsecond"), "RuntimeError: first  "),
        (KeyError("name"), "KeyError: 'name'"),
        (EOFError(), "EOFError"),
        (OSError("\n"), "OSError"),
    ],
)
def test_type_and_first_line_are_told(error, line):
    assert in_one_line(error) == line
