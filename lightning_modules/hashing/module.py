"""HashingModule: trains any hashing loss on any encoders; what they do once trained is in ``network.py``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lightning_modules.augmentation import Augmentation
from lightning_modules.configurable import build
from lightning_modules.hashing.adversarial import AdversarialTraining, remember
from lightning_modules.hashing.backbones import Backbone
from lightning_modules.hashing.compatibility import check_options
from lightning_modules.hashing.directions import Direction
from lightning_modules.hashing.facts import check_facts, facts_of
from lightning_modules.hashing.frozen import use_frozen_features
from lightning_modules.hashing.losses import HashingLoss, TrainingFacts, TrainingProcedure
from lightning_modules.hashing.losses.procedure import Forward
from lightning_modules.hashing.mlp import FrozenBackbone, TextMLP
from lightning_modules.hashing.network import HashingNetwork
from lightning_modules.hashing.optimisers import optimizer_with_faster_head
from lightning_modules.hashing.start import start_from
from lightning_modules.hashing.stepping import step_schedules, take_steps
from lightning_modules.types import Batch

FACTS_KEY = "retpur_training_facts"


def paper_sgd(parameters: Any) -> torch.optim.Optimizer:
    """Plain SGD as in the ProS-GAN repository: lr 0.05, no momentum, weight decay 1e-5."""
    return torch.optim.SGD(parameters, lr=0.05, weight_decay=1e-5)


class HashingModule(HashingNetwork):
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
        text: text backbone, or its spec; None for image retrieval alone.
        directions: which modality asks for which: the MAP of each is logged (``val/map_i2t``). By default all
            between the encoders that there are. ``val/map``, by which a model is chosen, is the mean of I2T and
            T2I, and without a text encoder that of I2I.
        head_lr_scale: learning rate of everything that is no backbone (hashing layers, the loss's own parameters) over
            that of the backbones; 10 or more in papers that start from a pretrained backbone, 1 in ProS-GAN's code.
        adversarial: strategy of adversarial training, or its spec; None trains on clean pictures.
        init_from: checkpoint of a trained module whose encoders this training starts from.

    Raises:
        ValueError: options that do not fit together.
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
        text: Backbone | None = None,
        directions: list[Direction] | None = None,
        head_lr_scale: float = 1.0,
        adversarial: AdversarialTraining | None = None,
        init_from: str | None = None,
    ) -> None:
        # A checkpoint hands in specs where a user hands in objects.
        image = build(image, Backbone)  # type: ignore[type-abstract]
        text = None if text is None else build(text, Backbone)  # type: ignore[type-abstract]
        super().__init__({"image": image} | ({} if text is None else {"text": text}), num_bits, batch_norm, directions)
        self.loss = build(loss, HashingLoss)  # type: ignore[type-abstract]
        self.augmentation = None if augmentation is None else build(augmentation, Augmentation)
        self.adversarial = None if adversarial is None else build(adversarial, AdversarialTraining)  # type: ignore[type-abstract]
        self.save_hyperparameters(
            {
                "image": image.architecture,
                "text": None if text is None else text.architecture,
                "loss": self.loss.spec,
                "num_bits": num_bits,
                "batch_norm": batch_norm,
                "augmentation": None if self.augmentation is None else self.augmentation.spec,
                "directions": directions,
                "adversarial": None if self.adversarial is None else self.adversarial.spec,
            }
        )
        check_options(image, self.loss, self.augmentation is not None, self.adversarial is not None, head_lr_scale)
        if init_from is not None:
            start_from(self.encoders, init_from)
        self._optimizer, self._lr_scheduler, self._head_lr_scale = optimizer, lr_scheduler, head_lr_scale
        self.facts: dict[str, Any] = {}
        self.automatic_optimization = not isinstance(self.loss, TrainingProcedure)

    def setup(self, stage: str) -> None:
        """Tell encoders and loss about the training split."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if stage != "predict":
            use_frozen_features(self.image_encoder.backbone, data, stage, self.trainer)
        if stage == "fit":
            self.take_facts(data)

    def take_facts(self, data: Any) -> None:
        """Tell encoders and loss about the training split of a data module that is set up.

        Raises:
            ValueError: there is a text encoder, and the data have no text features.
        """
        facts = facts_of(data, self.text_encoder is not None)
        if self.facts.get("fingerprint") != facts["fingerprint"]:  # else it was loaded, and goes on
            self._set_up(data.labels("train"), facts)

    def _set_up(self, labels: Tensor, facts: dict[str, Any]) -> None:
        if self.text_encoder is not None and isinstance(self.text_encoder.backbone, TextMLP):
            self.text_encoder.backbone.set_up(facts["text_width"])
        widths = {name: self.encoder(name).backbone.num_features for name in self.encoders}
        for part in (self.loss, self.adversarial):
            if part is not None:
                part.setup(TrainingFacts(labels, self.num_bits, widths))
                part.to(self.device)
        self.facts = facts

    def on_fit_start(self) -> None:
        """Let the loss compute what no checkpoint holds.

        Raises:
            ValueError: a procedure of several optimisers on several devices.
        """
        if isinstance(self.loss, TrainingProcedure) and self.trainer.world_size > 1:
            raise ValueError(f"{type(self.loss).__name__} trains on one device: set trainer.devices to 1")
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        inputs = {}
        if isinstance(self.image_encoder.backbone, FrozenBackbone) and self.image_encoder.backbone.cache_features:
            inputs["image"] = partial(data.image_features, "train")
        if self.text_encoder is not None:
            inputs["text"] = partial(data.text_features, "train")
        self.loss.prepare(TrainingFacts(data.labels("train").to(self.device), self.num_bits, inputs=inputs))

    def on_train_epoch_start(self) -> None:
        """Hash the training items anew for adversarial training."""
        if self.adversarial is None:
            return
        self.adversarial.epoch = self.current_epoch
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        for batch in data.train_dataloader():
            remember(self.adversarial.memory, self.image_encoder, batch.to(self.device))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Take the mean loss of one batch, or the steps of a procedure."""
        del batch_idx
        if self.augmentation is not None:
            batch = replace(batch, image=self.augmentation(batch.image))
        if isinstance(self.loss, TrainingProcedure):
            encoders = {name: self.encoder(name) for name in self.encoders}
            precision = self.trainer.precision_plugin.forward_context
            take_steps(self, self.loss, Forward(encoders, partial(self._features, batch), precision), batch)
            return None
        logits = self._training_logits(batch)
        codes = {name: self.loss.relax(found, self.global_step) for name, found in logits.items()}
        with torch.autocast(self.device.type, enabled=False):  # losses are sums over many pairs
            loss = self.loss(codes, batch).mean()
        if self.adversarial is not None:
            adversarial = self.adversarial(self.image_encoder, batch, logits["image"].tanh()).mean()
            self.log("train/adversarial", adversarial.detach(), batch_size=len(batch))
            loss = loss + adversarial
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def _training_logits(self, batch: Batch) -> dict[str, Tensor]:
        """Encode all views of a batch in one pass: ``(B, K)`` for one view, else ``(V, B, K)``."""
        logits = {}
        for name in self.encoders:
            encoder, views = self.encoder(name), 1
            if name == "image" and batch.features is None:
                pictures = tuple(self.loss.views(batch.image))
                features, views = encoder.backbone(torch.cat(pictures)), len(pictures)
            else:
                features = self._features(batch, name)
            found = encoder.logits_of(features)
            logits[name] = found if views == 1 else found.unflatten(0, (views, -1))
        return logits

    def on_train_epoch_end(self) -> None:
        """Tell the loss, and step the schedules of a procedure."""
        self.loss.end_epoch()
        if not self.automatic_optimization:
            step_schedules(self)

    def configure_optimizers(self) -> Any:
        """Build the optimiser over encoders and loss, or those of a procedure, and the schedules."""
        made: list[torch.optim.Optimizer] = []

        def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            made.append(self._optimizer([p for p in parameters if p.requires_grad]))
            return made[-1]

        if isinstance(self.loss, TrainingProcedure):
            named = self.loss.optimizers({name: self.encoder(name) for name in self.encoders}, make)
        else:
            backbones = [self.encoder(name).backbone for name in self.encoders]
            made.append(optimizer_with_faster_head(self._optimizer, self, backbones, self._head_lr_scale))
            named = {"all": made[0]}
        self.optimizer_names = tuple(named)
        # The schedule of the configuration belongs to its optimiser; a procedure's own ones keep their rate.
        schedules = [] if self._lr_scheduler is None else [self._lr_scheduler(optimizer) for optimizer in made]
        return list(named.values()), schedules

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
        check_facts(found, self.facts)
        if not self.facts:
            self._set_up(torch.zeros(found["num_train"], found["num_classes"], dtype=torch.uint8), found)
