"""Defences that change the image: interface and simple controls; the purifier is in ``purification/``."""

from lightning_modules.defences.base import Defence, DefendedEncoder, NoDefence
from lightning_modules.defences.blur import GaussianBlur

__all__ = ["Defence", "DefendedEncoder", "GaussianBlur", "NoDefence"]
