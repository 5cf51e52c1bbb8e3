"""Defences that change the image: interface and simple controls; the purifier is in ``purification/``."""

from lightning_modules.defences.averaged import Averaged
from lightning_modules.defences.base import Defence, DefendedEncoder, NoDefence
from lightning_modules.defences.bit_depth import BitDepth
from lightning_modules.defences.blur import GaussianBlur
from lightning_modules.defences.jpeg import JPEG
from lightning_modules.defences.median import MedianFilter
from lightning_modules.defences.noise import GaussianNoise
from lightning_modules.defences.purified import PurifiedEncoder
from lightning_modules.defences.resizing import Resizing
from lightning_modules.defences.votes import vote

__all__ = [
    "JPEG",
    "Averaged",
    "BitDepth",
    "Defence",
    "DefendedEncoder",
    "GaussianBlur",
    "GaussianNoise",
    "MedianFilter",
    "NoDefence",
    "PurifiedEncoder",
    "Resizing",
    "vote",
]
