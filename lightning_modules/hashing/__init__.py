"""Hashing networks: backbones, the hashing layer, losses and their LightningModule."""

from lightning_modules.hashing.backbones import Backbone, TimmBackbone
from lightning_modules.hashing.checkpoints import digest_of_encoder, load_encoder, load_hasher
from lightning_modules.hashing.cnnf import CNNF
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.frozen import hash_kept_features
from lightning_modules.hashing.losses import (
    DADH,
    DGCPN,
    UCCH,
    CIBHashLoss,
    CSQLoss,
    DCMHLoss,
    DPHL2Loss,
    DPHPriorityLoss,
    DPSHLoss,
    DSHLoss,
    GreedyHashLoss,
    HashingLoss,
    HashNetLoss,
    OrthoHashLoss,
)
from lightning_modules.hashing.mlp import FrozenBackbone, TextMLP
from lightning_modules.hashing.module import HashingModule
from lightning_modules.hashing.pretraining import BackbonePretraining

__all__ = [
    "CNNF",
    "DADH",
    "DGCPN",
    "UCCH",
    "Backbone",
    "BackbonePretraining",
    "CIBHashLoss",
    "CSQLoss",
    "DCMHLoss",
    "DPHL2Loss",
    "DPHPriorityLoss",
    "DPSHLoss",
    "DSHLoss",
    "FrozenBackbone",
    "GreedyHashLoss",
    "HashEncoder",
    "HashNetLoss",
    "HashingLoss",
    "HashingModule",
    "OrthoHashLoss",
    "TextMLP",
    "TimmBackbone",
    "digest_of_encoder",
    "hash_kept_features",
    "load_encoder",
    "load_hasher",
]
