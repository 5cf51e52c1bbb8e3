"""The data that flows between the parts of the suite: frozen, with shapes and ranges stated once, here."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor


def binarize(codes: Tensor) -> Tensor:
    """Map continuous codes to int8 codes in {-1, +1}; zero maps to +1, everywhere in the suite.

    Args:
        codes: real tensor of any shape, usually ``(B, K)`` in (-1, 1).

    Returns:
        int8 tensor of the same shape; NaN becomes -1, so check images and weights before.
    """
    return (codes >= 0).to(torch.int8).mul_(2).sub_(1)


def as_float(images: Tensor) -> Tensor:
    """Return 8-bit images as float32 in [0, 1], of any shape; images that are float stay as they are."""
    return images if images.is_floating_point() else images.float().div_(255)


@dataclass(frozen=True)
class Batch:
    """Some items of one split.

    Attributes:
        image: float32 ``(B, 3, H, W)`` in [0, 1], RGB; empty, ``(B, 3, 0, 0)``, where ``features`` stand in for it.
            Normalisation happens inside the encoders only. A data loader yields uint8, a quarter of the bytes between
            processes and devices; :meth:`to`, which Lightning calls, makes it float.
        label: uint8 ``(B, C)`` multi-hot in {0, 1}.
        index: int64 ``(B,)``, the item's position in its split (what code memories are addressed by).
        ids: ``B`` stable sample ids; all randomness of a sample is seeded by its id, never by its position.
        text: float32 ``(B, D)`` text features, or None.
        captions: ``B`` raw texts, or None.
        features: float32 ``(B, D)``, what a frozen extractor made of the images, or None.
    """

    image: Tensor
    label: Tensor
    index: Tensor
    ids: tuple[str, ...]
    text: Tensor | None = None
    captions: tuple[str, ...] | None = None
    features: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch with every tensor on ``device``, images as float (Lightning's transfer hook calls this)."""
        moved = self._map_tensors(lambda tensor: tensor.to(device, non_blocking=non_blocking))
        return replace(moved, image=as_float(moved.image))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory (called by ``DataLoader(pin_memory=True)``)."""
        return self._map_tensors(Tensor.pin_memory)

    def split(self, size: int) -> Iterator[tuple[slice, Batch]]:
        """Yield ``(rows, part)`` for consecutive parts of at most ``size`` items."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            captions = None if self.captions is None else self.captions[rows]
            part = self._map_tensors(operator.itemgetter(rows))
            yield rows, replace(part, ids=self.ids[rows], captions=captions)

    def part(self, rows: Sequence[int]) -> Batch:
        """Return the items at these positions, in this order."""
        chosen = torch.tensor(rows, dtype=torch.int64)
        captions = None if self.captions is None else tuple(self.captions[row] for row in rows)
        part = self._map_tensors(lambda tensor: tensor[chosen.to(tensor.device)])
        return replace(part, ids=tuple(self.ids[row] for row in rows), captions=captions)

    def _map_tensors(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **changed)


@dataclass(frozen=True)
class Picture:
    """One picture at its own size, to be worked on and written.

    Attributes:
        sample_id: its id.
        image: uint8 ``(3, H, W)`` RGB, or None if it cannot be read.
        target: relative path that the result is to be written to.
        error: why it cannot be read.
    """

    sample_id: str
    image: Tensor | None
    target: str
    error: str = ""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Picture:
        """Return the picture as it is (Lightning's transfer hook calls this): it is moved in tiles."""
        del device, non_blocking
        return self


@dataclass(frozen=True)
class CodeBook:
    """Binary codes of one split with what is known of its items: a database, or an attacker's knowledge.

    Attributes:
        codes: int8 ``(N, K)`` in {-1, +1}.
        labels: uint8 ``(N, C)`` multi-hot in {0, 1}.
        ids: ``N`` stable sample ids.
    """

    codes: Tensor
    labels: Tensor
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        sizes = {len(self.codes), len(self.labels), len(self.ids)}
        if len(sizes) != 1:
            raise ValueError(
                f"a code book needs one code, label and id per item, got {len(self.codes)} codes, "
                f"{len(self.labels)} labels and {len(self.ids)} ids"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, rows: Sequence[int]) -> CodeBook:
        """Return the items at these positions."""
        chosen = torch.tensor(rows, dtype=torch.int64)
        return CodeBook(self.codes[chosen], self.labels[chosen], tuple(self.ids[row] for row in rows))


@dataclass(frozen=True)
class AttackGoal:
    """What an attacker wants a batch of queries to retrieve, or (untargeted) to retrieve no more.

    Attributes:
        label: uint8 ``(B, C)``, the target label of each query; its own labels where the attack is untargeted.
        code: int8 ``(B, K)`` in {-1, +1}, the anchor code that the attack steers towards, or None for an attack that
            has none.
        text: float32 ``(B, D)`` features of a target text (TA-DCH), or None.
        ids: ids of the queries, which seed what an attack draws while crafting; empty: a digest of each image does.
        seed: the experiment's seed.
        book: codes and labels that the attack looks at while crafting (SDHA), or None.
    """

    label: Tensor
    code: Tensor | None = None
    text: Tensor | None = None
    ids: tuple[str, ...] = ()
    seed: int = 0
    book: CodeBook | None = None


class Victim(Protocol):
    """What is attacked: images to continuous codes. A defended encoder is a victim like any other."""

    def __call__(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """Encode ``images`` float ``(B, 3, H, W)`` in [0, 1] to ``tanh(alpha * y)``, ``(B, K)`` in (-1, 1)."""
        ...
