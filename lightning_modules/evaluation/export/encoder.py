"""An image encoder as a program of ``torch.export``, for systems that do not have this package."""

from __future__ import annotations

import copy
import os
import uuid
from pathlib import Path

import torch

from lightning_modules.errors import in_one_line
from lightning_modules.hashing import HashEncoder

ENCODER = "encoder.pt2"


def write_encoder(encoder: HashEncoder, size: int, folder: Path) -> None:
    """Write ``encoder.pt2``; an old one is replaced, or removed where there can be no new one.

    ``torch.export.load(path).module()`` maps float images ``(B, 3, size, size)`` in [0, 1] to codes ``(B, K)`` in
    (-1, 1), for any B and on the CPU; their bits are ``codes >= 0``. Normalisation is inside.

    Args:
        encoder: in eval mode; stays as it is.
        size: height and width of its pictures.
        folder: where to.

    Raises:
        ValueError: ``torch.export`` cannot take the network.
    """
    path = folder / ENCODER
    path.unlink(missing_ok=True)
    # Strides are part of a program: the plain layout suits every device.
    plain = copy.deepcopy(encoder).to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    example = torch.zeros(2, 3, size, size)  # a batch of one would be taken for a constant
    try:
        # Positional: by name they would have to name alpha, which stays at 1.
        program = torch.export.export(plain, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False)
    except Exception as error:  # of many kinds, none of them common to all
        name = encoder.card_facts()["backbone"]
        raise ValueError(f"torch.export cannot take {name!r} ({in_one_line(error)})") from error
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{uuid.uuid4().hex}.partial{path.suffix}")
    try:
        torch.export.save(program, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
