"""Codes and label sets as machine words: checked once here, so that nothing behind has to check again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ROWS = 1 << 18  # rows checked or packed at once: what they need for it beside the result does not grow with a database


@dataclass(frozen=True)
class PackedBits:
    """Rows of bits, word-major: word ``w`` of all rows lies contiguously, which is how it is scanned.

    Attributes:
        words: uint32 ``(1, N)`` for up to 32 bits, else uint64 ``(ceil(width / 64), N)``; unused bits are 0.
        width: number of bits in use, K of codes and C of labels.
    """

    words: NDArray[Any]
    width: int

    def __len__(self) -> int:
        return int(self.words.shape[1])

    @classmethod
    def from_rows(cls, rows: NDArray[np.uint8], width: int) -> PackedBits:
        """Take over bits packed by row, the inverse of `rows`.

        Args:
            rows: uint8 ``(N, ceil(width / 8))``, first bit highest; unused bits are 0.
            width: number of bits in use.
        """
        word = np.dtype(np.uint32 if width <= 32 else np.uint64)
        count = -(-width // (8 * word.itemsize))
        padded = np.zeros((len(rows), count * word.itemsize), np.uint8)
        padded[:, : rows.shape[1]] = rows
        return cls(np.ascontiguousarray(padded.view(word).T), width)

    def rows(self) -> NDArray[np.uint8]:
        """Return the bits packed by row, uint8 ``(N, ceil(width / 8))``, first bit highest, as databases have them."""
        rows = np.ascontiguousarray(self.words.T).view(np.uint8)
        return np.ascontiguousarray(rows[:, : -(-self.width // 8)])

    def bytes(self) -> NDArray[np.uint8]:
        """Return the bits as bytes, uint8 ``(ceil(width / 8), N)``."""
        return np.ascontiguousarray(self.rows().T)

    def countable(self) -> NDArray[Any]:
        """Return the bits as words whose bits NumPy counts fastest: bytes many at a time, wider ones one by one."""
        return self.bytes() if self.width <= 32 else self.words


class Scanner:
    """Compares one row at a time with all rows of a packed set, in buffers that are used again and again.

    Fresh arrays would cost more than the comparison. One scanner serves one thread.

    Args:
        packed: the rows to compare with.
        chunk: most rows compared at once, >= 1.
    """

    def __init__(self, packed: PackedBits, chunk: int) -> None:
        size = min(chunk, len(packed))
        self._packed = packed
        self._word = np.empty(size, packed.words.dtype)
        self._byte = np.empty(size, np.uint8)
        self._distance = np.empty(size, np.uint8 if packed.width < 128 else np.int32)
        self._shared: NDArray[np.bool_] = np.empty(size, np.bool_)

    def distances(self, words: NDArray[Any], rows: slice) -> NDArray[Any]:
        """Hamming distances from one row to the rows ``rows``.

        Args:
            words: ``(W,)``, another packed row of the same width, e.g. ``other.words[:, i]``.
            rows: which of the ``N`` rows to compare with; at most ``chunk``.

        Returns:
            ``(n,)`` integers in 0..width, uint8 up to 127 bits, else int32: a buffer, valid until the next
            call.
        """
        first, *others = self._packed.words[:, rows]
        word, byte, distance = (buffer[: len(first)] for buffer in (self._word, self._byte, self._distance))
        np.bitwise_count(np.bitwise_xor(first, words[0], out=word), out=distance)
        for own, other in zip(others, words[1:], strict=True):
            np.bitwise_count(np.bitwise_xor(own, other, out=word), out=byte)
            np.add(distance, byte, out=distance)
        return distance

    def intersects(self, words: NDArray[Any], rows: slice) -> NDArray[np.bool_]:
        """Tell which of the rows ``rows`` share a set bit with one row; arguments as in `distances`.

        Returns:
            bool ``(n,)``: a buffer, valid until the next call.
        """
        first, *others = self._packed.words[:, rows]
        word, other_shared = self._word[: len(first)], self._byte[: len(first)].view(np.bool_)
        shared = self._shared[: len(first)]
        np.not_equal(np.bitwise_and(first, words[0], out=word), 0, out=shared)
        for own, other in zip(others, words[1:], strict=True):
            np.not_equal(np.bitwise_and(own, other, out=word), 0, out=other_shared)
            np.logical_or(shared, other_shared, out=shared)
        return shared


def check_codes(codes: Tensor, name: str = "codes") -> Tensor:
    """Return binary codes as int8, or say what is wrong with them.

    Args:
        codes: ``(N, K)``, K >= 1, values -1 and +1 in any integer or float type.
        name: how to call the codes in a message.

    Returns:
        int8 ``(N, K)`` on the same device.

    Raises:
        ValueError: if the shape, type or a value is another (0 and NaN included).
    """
    _check_matrix(codes, name, "K")
    if codes.dtype == torch.bool or codes.is_complex():
        raise ValueError(f"{name} must be integer or float in {{-1, +1}}, got {codes.dtype}: use `binarize`")
    wrong = _find_other(codes, -1, 1)
    if wrong is not None:
        raise ValueError(f"{name} must be -1 or +1, got {wrong}: use `binarize`")
    return codes.detach().to(torch.int8)


def check_labels(labels: Tensor, name: str = "labels") -> Tensor:
    """Return multi-hot labels as uint8, or say what is wrong with them.

    Args:
        labels: ``(N, C)``, C >= 1, values 0 and 1 in any boolean, integer or float type.
        name: how to call the labels in a message.

    Returns:
        uint8 ``(N, C)`` on the same device.

    Raises:
        ValueError: if the shape, type or a value is another (NaN included), e.g. class numbers ``(N,)``.
    """
    _check_matrix(labels, name, "C")
    if labels.is_complex():
        raise ValueError(f"{name} must be boolean, integer or float in {{0, 1}}, got {labels.dtype}")
    wrong = _find_other(labels, 0, 1)
    if wrong is not None:
        raise ValueError(f"{name} must be 0 or 1, got {wrong}: encode classes as multi-hot")
    return labels.detach().to(torch.uint8)


def check_same_width(query: Tensor, database: Tensor, unit: str) -> None:
    """Check that queries and database agree in their number of columns.

    Args:
        query: ``(Q, W)``.
        database: ``(N, W)``.
        unit: what a column is, in a message.

    Raises:
        ValueError: naming both numbers if they differ.
    """
    if query.shape[1] != database.shape[1]:
        raise ValueError(f"queries have {query.shape[1]} {unit} but the database has {database.shape[1]}")


def check_same_length(codes: Tensor, labels: Tensor, name: str) -> None:
    """Check that there is one label per code; ``name`` says whose they are.

    Raises:
        ValueError: naming both numbers if they differ.
    """
    if len(codes) != len(labels):
        raise ValueError(f"{name} has {len(codes)} codes but {len(labels)} labels")


def pack_codes(codes: Tensor, name: str = "codes") -> PackedBits:
    """Pack binary codes, one bit per code bit; arguments and errors are those of `check_codes`."""
    return pack_bits(check_codes(codes, name))


def pack_labels(labels: Tensor, name: str = "labels") -> PackedBits:
    """Pack multi-hot labels, one bit per class; arguments and errors are those of `check_labels`."""
    return pack_bits(check_labels(labels, name))


def pack_bits(bits: Tensor) -> PackedBits:
    """Pack rows of bits.

    Args:
        bits: ``(N, width)`` in any real type on any device; a bit is set where it is positive.
    """
    width = bits.shape[1]
    word = np.dtype(np.uint32 if width <= 32 else np.uint64)
    count = -(-width // (8 * word.itemsize))
    words = np.empty((count, len(bits)), word)
    padded = np.zeros((min(_ROWS, len(bits)), count * 8 * word.itemsize), np.bool_)
    for start in range(0, len(bits), _ROWS):
        part = bits[start : start + _ROWS].cpu().numpy()
        own = padded[: len(part)]
        np.greater(part, 0, out=own[:, :width])  # NumPy starts no threads for so little work
        words[:, start : start + len(part)] = np.packbits(own).view(word).reshape(len(part), count).T
    return PackedBits(words, width)


def _check_matrix(values: Tensor, name: str, columns: str) -> None:
    if values.ndim != 2 or values.shape[1] == 0:
        raise ValueError(f"{name} must have shape (N, {columns}), {columns} >= 1, got {tuple(values.shape)}")


def _find_other(values: Tensor, first: int, second: int) -> float | None:
    """Return one entry that equals neither number, or None."""
    if values.dtype == torch.bfloat16:  # unknown to NumPy
        values = values.float()
    # On the CPU NumPy is ten times faster here, as it starts no threads for so little work.
    entries: Any = values.detach().numpy() if values.device.type == "cpu" else values
    for start in range(0, len(entries), _ROWS):
        part = entries[start : start + _ROWS]
        wrong = (part != first) & (part != second)
        if wrong.any():
            return part[wrong][0].item()
    return None
