"""Lets a training run on the features of a frozen extractor, which are computed once."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import Any

import torch
from torch import Tensor

from lightning_modules.digests import digest_of_weights
from lightning_modules.hashing.backbones import Backbone
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.mlp import FrozenBackbone
from lightning_modules.types import binarize

CHUNK = 4096


def use_frozen_features(backbone: Backbone, data: Any, stage: str, trainer: Any) -> None:
    """Let the data module hand out features in place of pictures, if the backbone's extractor is frozen.

    Args:
        backbone: of the image encoder; one without a frozen extractor, or told not to keep features, changes nothing.
        data: the data module, set up.
        stage: ``fit``, ``validate`` or ``test``.
        trainer: which knows the device; the first process of a machine computes, the others read.
    """
    if not isinstance(backbone, FrozenBackbone):
        return
    warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")  # it is meant to be
    if not backbone.cache_features:
        return
    extractor, device = backbone.extractor, trainer.strategy.root_device
    home = next(extractor.parameters()).device

    @torch.inference_mode()
    def extract(images: Tensor) -> Tensor:
        return extractor.to(device)(images.to(device))

    key = digest_of_backbone(extractor)
    if trainer.local_rank != 0:
        trainer.strategy.barrier("features")
    data.use_features(extract, extractor.num_features, key, stage)
    if trainer.local_rank == 0:
        trainer.strategy.barrier("features")
    extractor.to(home)


@torch.inference_mode()
def hash_kept_features(encoder: HashEncoder, data: Any, split: str) -> Tensor | None:
    """Hash a split by the kept features of a frozen extractor: pictures are read only where these are missing.

    Args:
        encoder: in eval mode; it works where it is.
        data: the data module, set up; its loaders go on handing out pictures.
        split: name of the split.

    Returns:
        int8 ``(N, K)`` in {-1, +1}, on the CPU; None for an encoder without such an extractor.
    """
    backbone = encoder.backbone
    if not (isinstance(backbone, FrozenBackbone) and backbone.cache_features):
        return None
    extractor, device = backbone.extractor, next(encoder.parameters()).device
    rows, key = data.rows(split), digest_of_backbone(extractor)
    kept = data.keep_features(lambda images: extractor(images.to(device)), extractor.num_features, key, rows)
    parts = kept.rows(rows).split(CHUNK)
    return torch.cat([binarize(encoder.logits_of(backbone.head(part.to(device)))).cpu() for part in parts])


def digest_of_backbone(backbone: Backbone) -> str:
    """Hash weights and options: an option such as ``input_size`` has no weights, and changes every feature."""
    options = json.dumps(backbone.architecture, sort_keys=True)
    return hashlib.sha256(f"{digest_of_weights(backbone)}\n{options}".encode()).hexdigest()
