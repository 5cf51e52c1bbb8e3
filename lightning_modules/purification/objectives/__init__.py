"""What a noise predictor is trained for: one small pure file per objective."""

from lightning_modules.purification.objectives.base import Draws, Objective, Pair, diffuse_each
from lightning_modules.purification.objectives.bridge import Bridge
from lightning_modules.purification.objectives.clean_target import CleanTarget
from lightning_modules.purification.objectives.code_target import CodeTarget
from lightning_modules.purification.objectives.purify import Purify
from lightning_modules.purification.objectives.simple import Simple

__all__ = ["Bridge", "CleanTarget", "CodeTarget", "Draws", "Objective", "Pair", "Purify", "Simple", "diffuse_each"]
