"""DDPMModule: trains the noise predictor on any data module; saved as a diffusers folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.models.resnet import ResnetBlock2D
from lightning import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from lightning_modules.augmentation import Augmentation
from lightning_modules.configurable import build
from lightning_modules.purification.denoiser import Denoiser, Diffusion, load_scheduler
from lightning_modules.purification.objectives import Draws, Objective, Pair, Simple
from lightning_modules.purification.pairs import PairSource
from lightning_modules.purification.schedule import DiffusionSchedule
from lightning_modules.randomness import sample_uniforms
from lightning_modules.types import Batch


def paper_adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam with learning rate 1e-4 (paper, section 4.1)."""
    return torch.optim.Adam(parameters, lr=1e-4)


class DDPMModule(LightningModule):
    """Trains or fine-tunes a DDPM, with an exponential moving average of its weights.

    All randomness of a step (augmentation, t, noise) is a function of (seed, epoch, sample id): batch size, order and
    number of processes change the result by rounding only. Of six output channels (learned variance) the three of the
    noise are trained.

    Args:
        unet: arguments of diffusers' ``UNet2DModel``; instead of ``pretrained``.
        pretrained: Hub id or folder of a diffusers model to go on from, with its schedule.
        scheduler: arguments of diffusers' ``DDPMScheduler`` for a new network; the default is the linear chain of
            Ho et al., T = 1000.
        dropout: of the residual blocks while training; None takes what the network's configuration says. The folders
            of Ho et al. do not say it: their CIFAR-10 network was trained with 0.1, the others with 0.
        t_range: smallest and largest t that is trained; a purifier that only uses t <= T_p learns faster from
            ``(1, T_p)``. Default: ``(1, T)``.
        objective: what is learned; default: L_simple.
        pairs: where adversarial images come from, for an objective that needs them; no part of a checkpoint.
        ema_decay: decay of the averaged weights; ramped up as ``min(decay, (1 + n) / (10 + n))``.
        augmentation: crops, shifts and flips of the training images.
        seed: seed of augmentation, t and noise.
        optimizer: called with the parameters; default: Adam 1e-4, as in the paper.
        lr_scheduler: called with the optimiser, stepped once per optimiser step.

    Raises:
        ValueError: a t range outside 1..T or unfit for the objective, neither architecture nor pretrained weights,
            or both a schedule and pretrained weights.
    """

    # Under Lightning's own key LightningCLI would merge these specs into the configuration, which it cannot parse.
    CHECKPOINT_HYPER_PARAMS_KEY = "retpur_hyper_parameters"

    def __init__(
        self,
        unet: dict[str, Any] | None = None,
        pretrained: str | None = None,
        scheduler: dict[str, Any] | None = None,
        dropout: float | None = None,
        t_range: tuple[int, int] | None = None,
        objective: Objective | None = None,
        pairs: PairSource | None = None,
        ema_decay: float = 0.9999,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        optimizer: OptimizerCallable = paper_adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        if (unet is None) == (pretrained is None):
            raise ValueError("give either unet (an architecture) or pretrained (a Hub id or folder)")
        if pretrained is not None and scheduler is not None:
            raise ValueError("scheduler: a pretrained network keeps the schedule it was trained with; leave this out")
        network: Any
        if pretrained is None:
            network, self.scheduler = _new_unet(unet), _new_scheduler(scheduler or {})
        else:
            # diffusers loads in eval mode, and Lightning trains in the mode it finds
            network = Diffusion.from_pretrained(pretrained).denoiser.unet.train()
            self.scheduler = load_scheduler(pretrained)
        if dropout is not None:
            _set_dropout(network, dropout)
        self.schedule = DiffusionSchedule(self.scheduler.betas.double(), torch.arange(len(self.scheduler.betas)))
        self.objective = Simple() if objective is None else build(objective, Objective)  # type: ignore[type-abstract]
        self.t_range = self._checked_range(t_range)
        self.augmentation = None if augmentation is None else build(augmentation, Augmentation)
        self.pairs, self.seed = pairs, seed
        self.save_hyperparameters(
            {
                "unet": _plain(network.config),
                "pretrained": None,  # a checkpoint holds the weights itself
                "scheduler": _plain(self.scheduler.config),
                "t_range": list(self.t_range),
                "objective": self.objective.spec,
                "ema_decay": ema_decay,
                "augmentation": None if self.augmentation is None else self.augmentation.spec,
                "seed": seed,
            }
        )
        self.denoiser = Denoiser(network)
        self.ema = AveragedModel(self.denoiser, multi_avg_fn=_RampedAverage(ema_decay)).requires_grad_(False)
        self._optimizer, self._lr_scheduler = optimizer, lr_scheduler

    def _checked_range(self, t_range: tuple[int, int] | None) -> tuple[int, int]:
        steps = len(self.schedule)
        first, last = (1, steps) if t_range is None else (int(t_range[0]), int(t_range[1]))
        if not 1 <= first <= last <= steps:
            raise ValueError(f"t_range={(first, last)}: expected 1 <= first <= last <= T = {steps}")
        self.objective.check((first, last))
        return first, last

    def setup(self, stage: str) -> None:
        """Open what the objective needs, and the adversarial images.

        Raises:
            ValueError: the objective needs some and there are none, or they do not belong to the training split.
        """
        if stage != "fit" or not self.objective.paired:
            return
        if self.pairs is None:
            raise ValueError(f"objective {type(self.objective).__name__} needs adversarial images: give pairs")
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        self.objective.setup(data, self.trainer.strategy.root_device)
        self.pairs.setup(data, self.trainer.strategy.root_device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Take the objective at a t per image."""
        del batch_idx
        adversarial = batch.image
        if self.pairs is not None and self.objective.paired:
            adversarial = self.pairs(batch, self.current_epoch)
        pair = self._augmented(batch, batch.image, adversarial)
        draws = Draws.of(self.seed, f"train/{self.current_epoch}", batch.ids, pair.clean)
        loss = self.objective(self.denoiser, self.schedule, pair, self.t_range, draws).mean()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def _augmented(self, batch: Batch, clean: Tensor, adversarial: Tensor) -> Pair:
        """Augment both images of a pair alike, and map them to [-1, 1]."""
        images = torch.cat([clean, adversarial], dim=1)
        if self.augmentation is not None:
            purpose = f"augmentation/{self.current_epoch}"
            images = self.augmentation(images, sample_uniforms(self.seed, purpose, batch.ids, 3))
        return Pair(*(2 * images - 1).chunk(2, dim=1))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, then update the averaged weights: once per step, however many batches it gathers."""
        super().optimizer_step(*args, **kwargs)
        self.ema.update_parameters(self.denoiser)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log L_simple of the averaged weights on clean images: whatever is learned, these must stay right."""
        del batch_idx
        if dataloader_idx == 0:  # the database holds the training items
            return
        images = 2 * batch.image - 1
        draws = Draws.of(0, "validation", batch.ids, images)
        loss = Simple()(self.ema, self.schedule, Pair(images, images), self.t_range, draws).mean()
        self.log("val/loss", loss, prog_bar=True, batch_size=len(batch), sync_dist=True, add_dataloader_idx=False)

    def configure_optimizers(self) -> Any:
        """Build the optimiser over the network (not its average) and the schedule."""
        optimizer = self._optimizer(self.denoiser.parameters())
        if self._lr_scheduler is None:
            return optimizer
        schedule = {"scheduler": self._lr_scheduler(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def export(self, folder: str | Path) -> None:
        """Write the averaged weights and the schedule as a ``DDPMPipeline`` folder.

        The folder loads with ``DiffusionPurifier.from_pretrained`` and with diffusers itself.
        """
        averaged: Any = self.ema.module
        pipeline: Any = DDPMPipeline(unet=averaged.unet, scheduler=self.scheduler)
        pipeline.save_pretrained(folder)


def _new_unet(arguments: dict[str, Any] | None) -> UNet2DModel:
    try:
        return UNet2DModel(**(arguments or {}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"unet={arguments}: diffusers' UNet2DModel refuses these arguments: {error}") from error


def _new_scheduler(arguments: dict[str, Any]) -> Any:
    try:
        scheduler: Any = DDPMScheduler(**({"beta_start": 1e-4, "beta_end": 0.02} | arguments))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"scheduler={arguments}: diffusers' DDPMScheduler refuses these: {error}") from error
    kind = scheduler.config["prediction_type"]
    if kind != "epsilon":
        raise ValueError(f"scheduler: prediction_type={kind!r}, expected 'epsilon' (noise)")
    return scheduler


def _plain(config: Any) -> dict[str, Any]:
    """Return a diffusers configuration as constructor arguments, without what diffusers adds for itself."""
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _set_dropout(network: Any, dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: expected a probability in [0, 1)")
    for part in network.modules():
        if isinstance(part, ResnetBlock2D):
            part.dropout.p = dropout
    network.register_to_config(dropout=dropout)


class _RampedAverage:
    """Exponential moving average with decay ``min(decay, (1 + n) / (10 + n))`` at update n."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, averaged: Any, current: Any, count: Tensor | int) -> None:
        decay = min(self.decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - decay)
