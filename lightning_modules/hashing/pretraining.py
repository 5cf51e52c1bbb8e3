"""BackbonePretraining: where no ImageNet weights fit, a backbone is first trained as a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from safetensors.torch import save_file
from torch import Tensor, nn
from torchmetrics.classification import MultilabelAveragePrecision

from lightning_modules.augmentation import Augmentation
from lightning_modules.hashing.backbones import TimmBackbone
from lightning_modules.hashing.optimisers import optimizer_with_faster_head
from lightning_modules.types import Batch


class BackbonePretraining(LightningModule):
    """Trains a timm backbone with a linear multi-label classifier on the training split.

    Hashing networks of the paper start from ImageNet weights; pairwise losses hardly leave the start without
    them. For pictures of 32 px, or where nothing can be downloaded, this makes the starting point. The body is
    exported as a safetensors file in timm's layout, for ``TimmBackbone(weights=...)``.

    Args:
        image: the backbone.
        augmentation: applied to training images.
        optimizer: called with the parameters.
        lr_scheduler: called with the optimiser, stepped once per epoch.
        head_lr_scale: learning rate of the classifier over that of the backbone.
    """

    def __init__(
        self,
        image: TimmBackbone,
        augmentation: Augmentation | None = None,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        head_lr_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.image, self.augmentation = image, augmentation
        self._optimizer, self._lr_scheduler, self._head_lr_scale = optimizer, lr_scheduler, head_lr_scale

    def configure_model(self) -> None:
        """Make the classifier, once the number of classes is known."""
        if hasattr(self, "classifier"):
            return
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        self.classifier = nn.Linear(self.image.num_features, data.num_classes)
        self.average_precision = MultilabelAveragePrecision(data.num_classes)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Take the binary cross-entropy of every class."""
        del batch_idx
        images = batch.image if self.augmentation is None else self.augmentation(batch.image)
        logits = self.classifier(self.image(images)).float()
        loss = F.binary_cross_entropy_with_logits(logits, batch.label.float())
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect scores of the validation items."""
        del batch_idx
        if dataloader_idx == 1:  # the database, loader 0, holds the training items
            self.average_precision.update(self.classifier(self.image(batch.image)).float(), batch.label.long())

    def on_validation_epoch_end(self) -> None:
        """Log the mean average precision over classes (of classification, not of retrieval)."""
        self.log("val/class_ap", self.average_precision, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """Build the optimiser and the schedule."""
        optimizer = optimizer_with_faster_head(self._optimizer, self, [self.image], self._head_lr_scale)
        if self._lr_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._lr_scheduler(optimizer)}

    def export(self, path: str | Path) -> None:
        """Write the body's weights as a safetensors file."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.image.body.state_dict().items()}
        save_file(weights, path)
