"""Hashing losses, one file per method."""

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.losses.batch_loss import BatchLoss
from lightning_modules.hashing.losses.cibhash import CIBHashLoss
from lightning_modules.hashing.losses.csq import CSQLoss
from lightning_modules.hashing.losses.dadh import DADH
from lightning_modules.hashing.losses.dcmh import DCMHLoss
from lightning_modules.hashing.losses.dgcpn import DGCPN
from lightning_modules.hashing.losses.dph_l2 import DPHL2Loss
from lightning_modules.hashing.losses.dph_priority import DPHPriorityLoss
from lightning_modules.hashing.losses.dpsh import DPSHLoss
from lightning_modules.hashing.losses.dsh import DSHLoss
from lightning_modules.hashing.losses.greedyhash import GreedyHashLoss
from lightning_modules.hashing.losses.hashnet import HashNetLoss
from lightning_modules.hashing.losses.memory_loss import MemoryLoss
from lightning_modules.hashing.losses.orthohash import OrthoHashLoss
from lightning_modules.hashing.losses.procedure import TrainingProcedure
from lightning_modules.hashing.losses.ucch import UCCH

__all__ = [
    "DADH",
    "DGCPN",
    "UCCH",
    "BatchLoss",
    "CIBHashLoss",
    "CSQLoss",
    "DCMHLoss",
    "DPHL2Loss",
    "DPHPriorityLoss",
    "DPSHLoss",
    "DSHLoss",
    "GreedyHashLoss",
    "HashNetLoss",
    "HashingLoss",
    "MemoryLoss",
    "OrthoHashLoss",
    "TrainingFacts",
    "TrainingProcedure",
]
