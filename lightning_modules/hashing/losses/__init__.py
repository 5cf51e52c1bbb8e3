"""Hashing losses, one file per method."""

from lightning_modules.hashing.losses.base import HashingLoss, TrainingFacts
from lightning_modules.hashing.losses.dpsh import DPSHLoss

__all__ = ["DPSHLoss", "HashingLoss", "TrainingFacts"]
