"""Networks of the generative attacks; parameter names are those of the published state dicts."""

from lightning_modules.attacks.networks.discriminator import ClassDiscriminator
from lightning_modules.attacks.networks.generator import LabelEncoder, ProSGANGenerator, ResidualBlock, halvings
from lightning_modules.attacks.networks.prototype import Prototype, PrototypeNet

__all__ = [
    "ClassDiscriminator",
    "LabelEncoder",
    "ProSGANGenerator",
    "Prototype",
    "PrototypeNet",
    "ResidualBlock",
    "halvings",
]
