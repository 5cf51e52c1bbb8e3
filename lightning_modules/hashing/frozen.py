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
from lightning_modules.hashing.mlp import FrozenBackbone


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


def digest_of_backbone(backbone: Backbone) -> str:
    """Hash weights and options: an option such as ``input_size`` has no weights, and changes every feature."""
    options = json.dumps(backbone.architecture, sort_keys=True)
    return hashlib.sha256(f"{digest_of_weights(backbone)}\n{options}".encode()).hexdigest()
