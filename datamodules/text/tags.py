"""TagVector: which words of a vocabulary an item is tagged with."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse

from datamodules.source import DataError, ItemSource
from datamodules.text.base import Matrix, TextFeatures, pool_digest


class TagVector(TextFeatures):
    """Binary vector over a vocabulary of tags, sparse.

    The same numbers as scikit-learn's ``CountVectorizer(vocabulary=words, analyzer=str.split, binary=True)`` over
    the tags joined by blanks: a tag may hold any character but white space, and upper case stays. Items without
    a tag of the vocabulary are zero.

    Args:
        vocabulary: text file, UTF-8, with one word a line, which is the order of the features; a line may go on
            with a count, as ``doc/common_tags.txt`` of MIRFLICKR does. None takes the most frequent tags.
        size: without a file, how many tags at most, by the number of database items that have them; ties are
            taken alphabetically. Where a data set publishes no split, all its items are counted.

    Raises:
        DataError: not exactly one of the two is given.
    """

    def __init__(self, vocabulary: str | None = None, size: int | None = None) -> None:
        if (vocabulary is None) == (size is None):
            raise DataError("TagVector: expected either vocabulary (a file) or size (of the most frequent tags)")
        if size is not None and size < 1:
            raise DataError(f"TagVector size={size}: expected at least 1")
        self.vocabulary, self.size = vocabulary, size

    @property
    def title(self) -> str:
        """Kind and vocabulary."""
        return f"tags ({self.vocabulary or f'the {self.size} most frequent'})"

    def depends_on(self, source: ItemSource) -> tuple[str, ...]:
        """Name the words of the file, or the rows that were counted."""
        if self.vocabulary is None:
            return (pool_digest(source),)
        return (hashlib.sha256("\n".join(read_vocabulary(Path(self.vocabulary))).encode()).hexdigest(),)

    def encode(self, source: ItemSource) -> Matrix:
        """Return float32 ``(n, d)`` in {0, 1}, CSR; see :meth:`TextFeatures.encode`.

        Raises:
            DataError: no item has tags, none of them is in the vocabulary, or the vocabulary is unreadable.
        """
        tags = [" ".join(source.tags(row)).split() for row in range(len(source.ids))]
        if not any(tags):
            raise DataError(f"{source.name} has no tags; captions are for BagOfWords or SentenceEncoder")
        if self.vocabulary is None:
            words = _most_frequent([tags[row] for row in source.database_pool], self.size or 0)
        else:
            words = read_vocabulary(Path(self.vocabulary))
        found = indicators(tags, words)
        if not found.nnz:
            raise DataError(f"{self.title}: no tag of {source.name} is among its {len(words)} words")
        return found


def read_vocabulary(path: Path) -> list[str]:
    """Return the words of a vocabulary file in its order.

    Raises:
        DataError: it is missing or empty, or a line holds no word, something else than ``word`` or
            ``word count``, or a word for the second time; the message names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the vocabulary cannot be read ({error.strerror or error})") from error
    return parse_vocabulary(data, str(path))


def parse_vocabulary(data: bytes, name: str) -> list[str]:
    """Return the words in the content of a vocabulary file; see :func:`read_vocabulary`.

    Raises:
        DataError: as there; the message starts with ``name``.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").rstrip().split(b"\n")
    places: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        word = _word(line, f"{name} line {number}")
        if word in places:
            raise DataError(f"{name} line {number}: {word!r} stands on line {places[word]} already")
        places[word] = number
    return list(places)


def _word(line: bytes, place: str) -> str:
    try:
        fields = line.decode().split()
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 ({error.reason})") from error
    if len(fields) == 1 or (len(fields) == 2 and fields[1].isascii() and fields[1].isdigit()):
        return fields[0]
    raise DataError(f"{place}: expected a word, or a word and its count, found {' '.join(fields)[:60]!r}")


def _most_frequent(tags: Sequence[Sequence[str]], size: int) -> list[str]:
    counts = Counter(word for words in tags for word in set(words))
    return sorted(counts, key=lambda word: (-counts[word], word))[:size]


def indicators(tags: Sequence[Sequence[str]], words: Sequence[str]) -> Matrix:
    """Return which of the words each item is tagged with, float32 CSR ``(n, d)`` in {0, 1}."""
    column = {word: c for c, word in enumerate(words)}
    rows = [sorted({column[word] for word in found if word in column}) for found in tags]
    starts = np.cumsum([0, *map(len, rows)])
    places = np.array([c for row in rows for c in row], dtype=np.int64)
    ones = np.ones(len(places), dtype=np.float32)
    return scipy.sparse.csr_matrix((ones, places, starts), shape=(len(rows), len(words)))
