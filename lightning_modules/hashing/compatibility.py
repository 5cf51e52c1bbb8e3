"""Which options of a hashing module go together; asked before any work starts."""

from __future__ import annotations

from lightning_modules.hashing.backbones import Backbone
from lightning_modules.hashing.losses import HashingLoss, TrainingProcedure
from lightning_modules.hashing.mlp import FrozenBackbone


def check_options(image: Backbone, loss: HashingLoss, augmented: bool, adversarial: bool, head_lr_scale: float) -> None:
    """Check the options of a module against each other.

    Args:
        image: image backbone.
        loss: hashing loss.
        augmented: whether the module augments its pictures.
        adversarial: whether it trains on adversarial pictures.
        head_lr_scale: learning rate of all but the backbones over theirs.

    Raises:
        ValueError: naming the options that do not fit together.
    """
    name, procedure = type(loss).__name__, isinstance(loss, TrainingProcedure)
    makes_views = type(loss).views is not HashingLoss.views
    if isinstance(image, FrozenBackbone) and image.cache_features:
        if augmented or makes_views:
            raise ValueError("augmentation changes pictures of which features are kept: set cache_features to false")
        if adversarial:
            raise ValueError("adversarial training needs pictures: set cache_features to false")
    if adversarial and (procedure or makes_views):
        raise ValueError(f"adversarial training goes with losses of one step and one view, not with {name}")
    if procedure and head_lr_scale != 1:
        raise ValueError(f"head_lr_scale={head_lr_scale}: {name} makes its own optimisers")
