"""Attacks on hashing networks: one interface, one file per attack."""

from lightning_modules.attacks.base import Attack
from lightning_modules.attacks.iterative import IterativeCodeAttack

__all__ = ["Attack", "IterativeCodeAttack"]
