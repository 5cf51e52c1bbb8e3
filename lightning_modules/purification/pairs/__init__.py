"""Where a fine-tuning takes its adversarial images from: crafted while it trains, or stored by an evaluation."""

from lightning_modules.purification.pairs.base import PairSource
from lightning_modules.purification.pairs.crafted import CraftedPairs
from lightning_modules.purification.pairs.stored import StoredPairs

__all__ = ["CraftedPairs", "PairSource", "StoredPairs"]
