"""DatabaseEncoding: hashes a database shard by shard into the store."""

from __future__ import annotations

import torch
from lightning import LightningModule

from lightning_modules.evaluation.shards import Shard
from lightning_modules.evaluation.store import Stage
from lightning_modules.hashing import HashEncoder
from lightning_modules.types import binarize

MOST = 2048  # items per shard
PIXELS = MOST * 64 * 64  # per shard, 96 MiB as float32 in three channels: larger pictures come in smaller shards
AT_ONCE = 128  # pictures per forward pass: activations take many times the memory of a picture


def shard_size(side: int) -> int:
    """Return how many pictures of this side, in pixels, make a shard of the database."""
    return max(1, min(MOST, PIXELS // side**2))


class DatabaseEncoding(LightningModule):
    """A test loop that fills a stage with database codes.

    Args:
        encoder: the hasher.
        stage: where shards of ``{"codes": int8 (n, K)}`` go.
    """

    def __init__(self, encoder: HashEncoder, stage: Stage) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # fewer shards than processes
        self.encoder, self._stage = encoder.eval(), stage

    @torch.no_grad()
    def test_step(self, shard: Shard, batch_idx: int) -> None:
        """Hash one shard, unless it is stored already."""
        del batch_idx
        images = shard.batch.image
        self._stage.shard(
            shard.number, lambda: {"codes": torch.cat([binarize(self.encoder(part)) for part in images.split(AT_ONCE)])}
        )
