"""A file that is written at once is the old one or the new one, never half of it."""

import pytest

from lightning_modules.atomic import replaced_at_once, written_at_once


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "folder/facts.txt"
    with written_at_once(path) as file:
        file.write("alt\n")
        assert not path.exists()
    with written_at_once(path) as file:
        file.write("über\n")
        file.flush()
        assert path.read_bytes() == b"alt\n"
    assert path.read_bytes() == "über\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "codes.bin"
    path.write_bytes(b"old")
    with pytest.raises(IsADirectoryError), replaced_at_once(path) as partial:
        (partial.write_bytes(b"half"), tmp_path.read_bytes())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
