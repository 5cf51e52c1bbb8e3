"""A database is hashed in shards and passes whose memory does not grow with the pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.evaluation.database import AT_ONCE, PIXELS, DatabaseEncoding, shard_size
from lightning_modules.evaluation.shards import Shard
from lightning_modules.evaluation.store import ArtifactStore
from lightning_modules.types import Batch, binarize


class CountingEncoder(nn.Module):
    """Eight fixed pixels of each image are its code; remembers how many images came at once."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.counts.append(len(images))
        return images.flatten(1)[:, :8] - 0.5


@pytest.mark.parametrize(("side", "items"), [(32, 2048), (64, 2048), (96, 910), (224, 167), (5000, 1)])
def test_large_pictures_come_in_smaller_shards(side, items):
    assert shard_size(side) == items
    assert shard_size(side) * side**2 <= PIXELS or items == 1


def test_a_shard_is_hashed_in_parts_and_stored_whole(tmp_path):
    images = torch.rand(2 * AT_ONCE + 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(len(images))
    batch = Batch(images, torch.ones(len(images), 1, dtype=torch.uint8), rows, tuple(str(int(row)) for row in rows))
    encoder, stage = CountingEncoder(), ArtifactStore(str(tmp_path)).stage("database", {"data": "random"}, 1)
    DatabaseEncoding(encoder, stage).test_step(Shard(0, batch), 0)
    assert encoder.counts == [AT_ONCE, AT_ONCE, 3]
    assert torch.equal(stage.load(0)["codes"], binarize(images.flatten(1)[:, :8] - 0.5))
