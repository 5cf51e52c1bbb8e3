"""Records of a user's table: CSV, Parquet or JSON Lines, every value with the place that it came from."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.source import DataError

PARQUET_START = b"PAR1"
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
DELIMITERS = ",\t;"


@dataclass(frozen=True)
class Record:
    """One row: where it stands (``line 5``), and its values by column; CSV has strings only, an absent one is None."""

    place: str
    values: dict[str, Any]


def read_records(path: Path, columns: Sequence[str]) -> list[Record]:
    """Read some columns of a table.

    Args:
        path: Parquet, recognised by content; JSON Lines, by suffix or a first ``{``; else CSV with a header, in
            UTF-8 (or UTF-16 with its mark), separated by commas, semicolons or tabs.
        columns: names of the columns; a JSON object may lack some, but each must occur.

    Raises:
        DataError: it is unreadable or empty, lacks a column (the message lists those that there are), or a line
            is damaged; the message names the line.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(PARQUET_START))
        if start == PARQUET_START:
            records = list(_parquet(path, columns))
        else:
            text = _text(path.read_bytes(), path)
            is_json = path.suffix.lower() in JSON_SUFFIXES or text.lstrip().startswith("{")
            records = list(_json_lines(text, path, columns) if is_json else _csv(text, path, columns))
    except OSError as error:
        raise DataError(f"{path}: the table cannot be read ({error.strerror or error})") from error
    if not records:
        raise DataError(f"{path}: the table has no rows")
    return records


def _check(path: Path, columns: Sequence[str], found: Sequence[str]) -> None:
    if unknown := [name for name in columns if name not in found]:
        listed = ", ".join(map(repr, found)) or "none"
        raise DataError(f"{path}: no column {', '.join(map(repr, unknown))}; the table has {listed}")
    if twice := [name for name in columns if list(found).count(name) > 1]:
        raise DataError(f"{path}: several columns are called {twice[0]!r}")


def _text(data: bytes, path: Path) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        encoding, data = "utf-8", data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path} line {line}: not {encoding.upper()}; save the table as UTF-8") from error


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Record]:
    try:
        file = pq.ParquetFile(path)
        _check(path, columns, file.schema_arrow.names)
        table = file.read(columns=list(columns))
        held = {name: table[name].to_pylist() for name in columns}
    except DataError:
        raise
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"{path}: a damaged Parquet file ({error})") from error
    for row in range(table.num_rows):
        yield Record(f"row {row + 1}", {name: held[name][row] for name in columns})


def _json_lines(text: str, path: Path, columns: Sequence[str]) -> Iterator[Record]:
    records, names = [], dict[str, None]()
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would cut inside of strings
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} line {number}: no JSON ({error}); expected one object per line") from error
        if not isinstance(found, dict):
            raise DataError(f"{path} line {number}: {type(found).__name__}, expected one JSON object per line")
        names |= dict.fromkeys(found)
        records.append(Record(f"line {number}", {name: found.get(name) for name in columns}))
    if records:
        _check(path, columns, list(names))
    yield from records


def _delimiter(text: str, columns: Sequence[str]) -> str:
    """Return the separator with which most of the columns are found in the header."""
    header = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]

    def found(delimiter: str) -> int:
        with suppress(csv.Error):
            return len(set(columns).intersection(next(csv.reader([header], delimiter=delimiter), [])))
        return 0

    return max(DELIMITERS, key=found)


def _csv(text: str, path: Path, columns: Sequence[str]) -> Iterator[Record]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, columns), strict=True)
    names: list[str] | None = None
    line = 1
    try:
        for fields in rows:
            place, line = f"line {line}", rows.line_num + 1  # a quoted field may hold line breaks
            if not fields:
                continue
            if names is None:
                names = [name.strip() for name in fields]
                _check(path, columns, names)
                position = {name: names.index(name) for name in columns}
            elif len(fields) != len(names):
                raise DataError(f"{path} {place}: {len(fields)} fields, but the header has {len(names)}")
            else:
                yield Record(place, {name: fields[position[name]] for name in columns})
    except csv.Error as error:
        raise DataError(f"{path} line {line}: no CSV ({error})") from error
    if names is None:
        raise DataError(f"{path}: the table is empty")
