"""Index: what a database of binary codes can be asked, whatever holds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.retrieval.metrics.packing import PackedBits, pack_codes


@dataclass(frozen=True)
class Hits:
    """What was found.

    Attributes:
        ids: one tuple of ``n`` ids per query, nearest first.
        distances: int64 ``(Q, n)``, Hamming distances in 0..K.
    """

    ids: tuple[tuple[str, ...], ...]
    distances: Tensor


class Index(Protocol):
    """A database of binary codes with unique ids.

    All indexes find the same distances. Among items at the same distance the scan and pgvector prefer what was added
    first; FAISS promises no order, so a list that ends within a tie may hold other items of it.

    Attributes:
        num_bits: code length K.
    """

    num_bits: int

    def __len__(self) -> int: ...

    def add(self, codes: Tensor, ids: Sequence[str]) -> None:
        """Add items.

        Args:
            codes: ``(N, K)`` in {-1, +1}.
            ids: one per code, none of which the index has already.

        Raises:
            ValueError: other codes, another number of ids, or an id that is there already; nothing is added.
        """
        ...

    def search(self, codes: Tensor, n: int) -> Hits:
        """Find the nearest items of each query.

        Args:
            codes: ``(Q, K)`` in {-1, +1}.
            n: length of each list, 1..N.

        Raises:
            ValueError: other codes, or a length outside 1..N.
        """
        ...

    def save(self, path: str | Path) -> None:
        """Write codes and ids; see the class for what is written."""
        ...

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: no such file, or one that is damaged.
        """
        ...


class Names:
    """The ids of an index that knows its items by position; none comes twice."""

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self._ids: list[str] = []
        self._known: set[str] = set()
        self.extend(ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def extend(self, ids: Sequence[str]) -> None:
        """Append ids.

        Raises:
            ValueError: naming one that is there already; none is appended.
        """
        added: set[str] = set()
        for name in ids:
            if name in self._known or name in added:
                raise ValueError(f"id {name!r} is in the index already: ids must be unique")
            added.add(name)
        self._ids.extend(ids)
        self._known |= added

    def hits(self, rows: NDArray[np.integer], distances: NDArray[np.integer]) -> Hits:
        """Name the rows ``(Q, n)`` that a search found."""
        named = tuple(tuple(self._ids[row] for row in found) for found in rows.tolist())
        return Hits(named, torch.from_numpy(distances.astype(np.int64)))


def pack_items(codes: Tensor, ids: Sequence[str], num_bits: int) -> PackedBits:
    """Check and pack what is added; errors are those of :meth:`Index.add`."""
    packed = _pack(codes, num_bits)
    if len(ids) != len(packed):
        raise ValueError(f"{len(ids)} ids for {len(packed)} codes")
    return packed


def pack_queries(codes: Tensor, n: int, num_bits: int, total: int) -> PackedBits:
    """Check and pack what is asked; errors are those of :meth:`Index.search`."""
    packed = _pack(codes, num_bits)
    if not 1 <= n <= total:
        raise ValueError(f"n must be in 1..{total}, the size of the index, got {n}")
    return packed


def check_bits(num_bits: int) -> None:
    """Refuse a code length that is not positive.

    Raises:
        ValueError: it is not.
    """
    if num_bits < 1:
        raise ValueError(f"num_bits={num_bits}: expected at least 1")


def _pack(codes: Tensor, num_bits: int) -> PackedBits:
    packed = pack_codes(codes)
    if packed.width != num_bits:
        raise ValueError(f"codes have {packed.width} bits, the index {num_bits}")
    return packed
