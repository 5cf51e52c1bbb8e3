"""Strategies of adversarial training around a hashing loss."""

from lightning_modules.adversarial_training.atrdh import ATRDH
from lightning_modules.adversarial_training.cgat import CgAT
from lightning_modules.adversarial_training.saat import SAAT

__all__ = ["ATRDH", "SAAT", "CgAT"]
