"""Diffusion purification: schedule, guidance, reverse chain, purifier, and the training of the DDPM."""

from lightning_modules.purification.denoiser import Denoiser, Diffusion
from lightning_modules.purification.folder import FolderPurification
from lightning_modules.purification.module import DDPMModule
from lightning_modules.purification.purifier import DiffusionPurifier
from lightning_modules.purification.schedule import DiffusionSchedule

__all__ = ["DDPMModule", "Denoiser", "Diffusion", "DiffusionPurifier", "DiffusionSchedule", "FolderPurification"]
