"""HashingModule: trains any hashing loss on any encoders, validates by MAP, encodes."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lightning_modules.augmentation import Augmentation
from lightning_modules.checks import check_images
from lightning_modules.configurable import build
from lightning_modules.hashing.backbones import Backbone
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.losses import HashingLoss, TrainingFacts
from lightning_modules.retrieval.metrics import HammingMAP
from lightning_modules.types import Batch, binarize

FACTS_KEY = "retpur_training_facts"


class Role(IntEnum):
    """What the items of a validation or test loader are: its position in the list of loaders."""

    database = 0
    query = 1


def paper_sgd(parameters: Any) -> torch.optim.Optimizer:
    """Plain SGD as in the ProS-GAN repository: lr 0.05, no momentum, weight decay 1e-5."""
    return torch.optim.SGD(parameters, lr=0.05, weight_decay=1e-5)


class HashingModule(LightningModule):
    """A hashing network: one encoder per modality, one loss.

    Checkpoints hold the specs of encoder and loss, so that ``HashingModule.load_from_checkpoint(path)`` needs
    nothing else; the normalisation of the pixels is part of the encoder.

    Args:
        image: image backbone, or its spec.
        loss: hashing loss, or its spec.
        num_bits: code length K (32 in every table of the paper).
        batch_norm: normalise the bits over the batch, for backbones trained from scratch; see
            :class:`~lightning_modules.hashing.encoder.HashEncoder`.
        augmentation: applied to training images, inside the module.
        optimizer: called with the parameters; default: the paper's SGD.
        lr_scheduler: called with the optimiser; stepped once per epoch.
    """

    # Under Lightning's own key LightningCLI would merge these specs into the configuration, which it cannot parse.
    CHECKPOINT_HYPER_PARAMS_KEY = "retpur_hyper_parameters"

    def __init__(
        self,
        image: Backbone,
        loss: HashingLoss,
        num_bits: int = 32,
        batch_norm: bool = False,
        augmentation: Augmentation | None = None,
        optimizer: OptimizerCallable = paper_sgd,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        # A checkpoint hands in specs where a user hands in objects.
        image = build(image, Backbone)  # type: ignore[type-abstract]
        self.loss = build(loss, HashingLoss)  # type: ignore[type-abstract]
        self.augmentation = None if augmentation is None else build(augmentation, Augmentation)
        self.save_hyperparameters(
            {
                "image": image.architecture,
                "loss": self.loss.spec,
                "num_bits": num_bits,
                "batch_norm": batch_norm,
                "augmentation": None if self.augmentation is None else self.augmentation.spec,
            }
        )
        self.encoders = nn.ModuleDict({"image": HashEncoder(image, num_bits, batch_norm)})
        self.num_bits = num_bits
        self._optimizer, self._lr_scheduler = optimizer, lr_scheduler
        self.metrics: Any = nn.ModuleDict({"val": HammingMAP(), "test": HammingMAP()})
        self.facts: dict[str, Any] = {}

    @property
    def image_encoder(self) -> HashEncoder:
        """The image encoder: the victim of attacks."""
        encoder = self.encoders["image"]
        assert isinstance(encoder, HashEncoder)  # noqa: S101 - narrows ModuleDict's type
        return encoder

    def setup(self, stage: str) -> None:
        """Tell the loss about the training split."""
        if stage != "fit":
            return
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        labels = data.labels("train")
        facts = {
            "num_train": len(labels),
            "num_classes": labels.shape[1],
            "class_names": list(data.class_names),
            "dataset": data.dataset_name,
            "fingerprint": data.fingerprint,
        }
        if self.facts.get("fingerprint") != facts["fingerprint"]:  # else it was loaded, and goes on
            self._set_up_loss(labels, facts)

    def _set_up_loss(self, labels: Tensor, facts: dict[str, Any]) -> None:
        self.loss.setup(TrainingFacts(labels, self.num_bits))
        self.loss.to(self.device)
        self.facts = facts

    def forward(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """Encode images float ``(B, 3, H, W)`` in [0, 1] to codes ``(B, K)`` in (-1, 1)."""
        return self.image_encoder(images, alpha)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Hash images.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1].

        Returns:
            int8 ``(B, K)`` in {-1, +1}.

        Raises:
            ValueError: images of another shape, dtype or range.
        """
        check_images(images)
        training = self.training
        self.eval()
        codes = binarize(self(images.to(self.image_encoder.hash_layer.weight)))
        self.train(training)
        return codes

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Take the mean loss of one batch."""
        del batch_idx
        images = batch.image if self.augmentation is None else self.augmentation(batch.image)
        codes = {"image": self._relaxed_codes(images)}
        with torch.autocast(self.device.type, enabled=False):  # losses are sums over many pairs
            loss = self.loss(codes, batch).mean()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def _relaxed_codes(self, images: Tensor) -> Tensor:
        """Encode all views of a batch in one pass; see :meth:`HashingLoss.forward` for the shape."""
        views = self.loss.views(images)
        logits = self.image_encoder.logits(torch.cat(tuple(views)))
        codes = self.loss.relax(logits, self.global_step)
        return codes if len(views) == 1 else codes.unflatten(0, (len(views), -1))

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Collect codes of the validation database and queries."""
        del batch_idx
        return self._collect("val", batch, Role(dataloader_idx))

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Collect codes of the database and the queries."""
        del batch_idx
        return self._collect("test", batch, Role(dataloader_idx))

    def _collect(self, stage: str, batch: Batch, role: Role) -> dict[str, Tensor]:
        codes = binarize(self(batch.image))
        self.metrics[stage].update(codes, batch.label, batch.index, role.name)
        return {"codes": codes}  # for callbacks

    def on_validation_epoch_end(self) -> None:
        """Log the MAP of the validation queries."""
        self._log_map("val")

    def on_test_epoch_end(self) -> None:
        """Log the MAP of the queries."""
        self._log_map("test")

    def _log_map(self, stage: str) -> None:
        # Handing over the metric itself lets Lightning synchronise and reset it.
        self.log(f"{stage}/map", self.metrics[stage], prog_bar=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return ids and int8 codes ``(B, K)`` of a batch."""
        del batch_idx
        return {"ids": batch.ids, "codes": binarize(self(batch.image))}

    def configure_optimizers(self) -> Any:
        """Build the optimiser over encoder and loss, and the schedule."""
        optimizer = self._optimizer(self.parameters())
        if self._lr_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._lr_scheduler(optimizer)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the facts of the training data beside the weights."""
        checkpoint[FACTS_KEY] = self.facts

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make room for the loss's buffers, and refuse weights of another problem.

        Raises:
            ValueError: the checkpoint has another bit length, class count, training size or split.
        """
        if FACTS_KEY not in checkpoint:
            raise ValueError("this checkpoint was not written by HashingModule: it lacks its training facts")
        # The hyper-parameters do not tell the bits: load_from_checkpoint(path, num_bits=...) changes them.
        found, bits = checkpoint[FACTS_KEY], len(checkpoint["state_dict"]["encoders.image.hash_layer.bias"])
        if bits != self.num_bits:
            raise ValueError(f"the checkpoint has {bits} bits, this module {self.num_bits}")
        for key in ("num_classes", "num_train", "fingerprint"):
            if self.facts and found[key] != self.facts[key]:
                raise ValueError(f"the checkpoint was trained with {key}={found[key]}, the data has {self.facts[key]}")
        if not self.facts:
            self._set_up_loss(torch.zeros(found["num_train"], found["num_classes"], dtype=torch.uint8), found)
