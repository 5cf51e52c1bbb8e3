"""Defences that change the image: the interface and the simple controls; the purifier has its own room."""

from lightning_modules.defences.base import Defence, DefendedEncoder, NoDefence
from lightning_modules.defences.blur import GaussianBlur

__all__ = ["Defence", "DefendedEncoder", "GaussianBlur", "NoDefence"]
