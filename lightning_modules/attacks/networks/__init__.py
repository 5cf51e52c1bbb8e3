"""Networks of the generative attacks; parameter names are those of the published state dicts."""

from lightning_modules.attacks.networks.discriminator import ClassDiscriminator
from lightning_modules.attacks.networks.fusion import FusionPrototypeNet
from lightning_modules.attacks.networks.generator import LabelEncoder, ProSGANGenerator, ResidualBlock, halvings
from lightning_modules.attacks.networks.prototype import Prototype, PrototypeNet
from lightning_modules.attacks.networks.ta_dch import SemanticTranslator, TADCHGenerator

__all__ = [
    "ClassDiscriminator",
    "FusionPrototypeNet",
    "LabelEncoder",
    "ProSGANGenerator",
    "Prototype",
    "PrototypeNet",
    "ResidualBlock",
    "SemanticTranslator",
    "TADCHGenerator",
    "halvings",
]
