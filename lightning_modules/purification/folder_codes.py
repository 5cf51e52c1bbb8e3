"""Codes of a folder of cleaned pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from lightning_modules.atomic import replaced_at_once

CODES = "codes.parquet"
PICTURES_PER_CALL = 32


def write_codes(hasher: Any, folder: Path, size: int) -> None:
    """Hash every PNG below a folder to ``codes.parquet``: columns ``id`` and ``code``, K numbers in {-1, +1}.

    All results are hashed, those of earlier runs too; the table appears complete or not at all.

    Args:
        hasher: a trained hashing module, ``encode`` of images ``(B, 3, size, size)`` in [0, 1].
        folder: the folder.
        size: pictures are resized to that shorter side, antialiased, and their middle is cut out.
    """
    paths = sorted(folder.rglob("*.png"))
    if not paths:
        return
    shrink = v2.Compose([v2.Resize(size, antialias=True), v2.CenterCrop(size)])
    codes = []
    for start in range(0, len(paths), PICTURES_PER_CALL):
        images = [shrink(_read(path)) for path in paths[start : start + PICTURES_PER_CALL]]
        codes.append(hasher.encode((torch.stack(images).float() / 255).to(hasher.device)).cpu())
    table = torch.cat(codes)
    column = pa.FixedSizeListArray.from_arrays(pa.array(table.flatten().numpy()), table.shape[1])
    ids = [path.relative_to(folder).as_posix() for path in paths]
    with replaced_at_once(folder / CODES) as partial:
        pq.write_table(pa.table({"id": ids, "code": column}), partial)


def _read(path: Path) -> Tensor:
    with Image.open(path) as picture:
        return torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).permute(2, 0, 1)
