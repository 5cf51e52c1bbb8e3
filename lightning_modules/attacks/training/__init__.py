"""Trainings of the attacks that have weights; what they export is a plain attack that needs no Lightning."""

from lightning_modules.attacks.training.objectives import (
    ProSGANPrototype,
    PrototypeObjective,
    TADCHPrototype,
    THAPrototype,
)
from lightning_modules.attacks.training.pros_gan import ProSGANTraining
from lightning_modules.attacks.training.prototype import PrototypeTraining
from lightning_modules.attacks.training.ta_dch import TADCHPrototypeTraining, TADCHTraining
from lightning_modules.attacks.training.universal import UniversalTraining

__all__ = [
    "ProSGANPrototype",
    "ProSGANTraining",
    "PrototypeObjective",
    "PrototypeTraining",
    "TADCHPrototype",
    "TADCHPrototypeTraining",
    "TADCHTraining",
    "THAPrototype",
    "UniversalTraining",
]
