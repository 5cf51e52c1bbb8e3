"""Attacks on hashing networks: one interface, one file per attack."""

from lightning_modules.attacks.base import Attack, VictimFacts
from lightning_modules.attacks.iterative import IterativeCodeAttack
from lightning_modules.attacks.pros_gan import ProSGAN

__all__ = ["Attack", "IterativeCodeAttack", "ProSGAN", "VictimFacts"]
