"""Published DDPM weights of other layouts to diffusers folders."""

from lightning_modules.purification.convert.adm import convert_adm
from lightning_modules.purification.convert.pesser import convert_pesser

__all__ = ["convert_adm", "convert_pesser"]
