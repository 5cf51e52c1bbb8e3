"""Hashing losses, one file per method."""

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.losses.dcmh import DCMHLoss
from lightning_modules.hashing.losses.dgcpn import DGCPN
from lightning_modules.hashing.losses.dph_l2 import DPHL2Loss
from lightning_modules.hashing.losses.dpsh import DPSHLoss
from lightning_modules.hashing.losses.memory_loss import MemoryLoss
from lightning_modules.hashing.losses.procedure import TrainingProcedure

__all__ = [
    "DGCPN",
    "DCMHLoss",
    "DPHL2Loss",
    "DPSHLoss",
    "HashingLoss",
    "MemoryLoss",
    "TrainingFacts",
    "TrainingProcedure",
]
