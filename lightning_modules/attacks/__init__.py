"""Attacks on hashing networks: one interface, one file per attack."""

from lightning_modules.attacks.base import Attack, VictimFacts
from lightning_modules.attacks.hag import HAGAttack
from lightning_modules.attacks.iterative import IterativeCodeAttack
from lightning_modules.attacks.mainstay import MainstayAttack
from lightning_modules.attacks.nag import NAGAttack
from lightning_modules.attacks.partly import PartlyAttacked
from lightning_modules.attacks.pros_gan import ProSGAN
from lightning_modules.attacks.sdha import SDHAAttack
from lightning_modules.attacks.ta_dch import TADCH
from lightning_modules.attacks.tha import THA
from lightning_modules.attacks.universal import UniversalPerturbation

__all__ = [
    "TADCH",
    "THA",
    "Attack",
    "HAGAttack",
    "IterativeCodeAttack",
    "MainstayAttack",
    "NAGAttack",
    "PartlyAttacked",
    "ProSGAN",
    "SDHAAttack",
    "UniversalPerturbation",
    "VictimFacts",
]
