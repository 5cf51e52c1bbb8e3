"""DDPMModule: trains the noise predictor on any data module; saved as a diffusers folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from lightning import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from lightning_modules.augmentation import Augmentation
from lightning_modules.configurable import build
from lightning_modules.purification.denoiser import Denoiser, Diffusion
from lightning_modules.purification.losses import simple_loss
from lightning_modules.purification.schedule import DiffusionSchedule
from lightning_modules.randomness import SampleNoise, sample_seed
from lightning_modules.types import Batch


def paper_adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam with learning rate 1e-4 (paper, section 4.1)."""
    return torch.optim.Adam(parameters, lr=1e-4)


class DDPMModule(LightningModule):
    """Trains a DDPM with L_simple and an exponential moving average of its weights.

    Args:
        unet: arguments of diffusers' ``UNet2DModel``; ignored where ``pretrained`` is given.
        pretrained: Hub id or folder of a diffusers model to go on from.
        steps: T of the linear schedule.
        t_range: smallest and largest t that is trained; a purifier that only uses t <= T_p learns faster from
            ``(1, T_p)``. Default: ``(1, T)``.
        ema_decay: decay of the averaged weights; ramped up as ``min(decay, (1 + n) / (10 + n))``.
        augmentation: crops, shifts and flips of the training images.
        optimizer: called with the parameters; default: Adam 1e-4, as in the paper.
        lr_scheduler: called with the optimiser, stepped once per optimiser step.

    Raises:
        ValueError: a t range outside 1..T, neither architecture nor pretrained weights, or pretrained weights of
            another schedule.
    """

    # Under Lightning's own key LightningCLI would merge these specs into the configuration, which it cannot parse.
    CHECKPOINT_HYPER_PARAMS_KEY = "retpur_hyper_parameters"

    def __init__(
        self,
        unet: dict[str, Any] | None = None,
        pretrained: str | None = None,
        steps: int = 1000,
        t_range: tuple[int, int] | None = None,
        ema_decay: float = 0.9999,
        augmentation: Augmentation | None = None,
        optimizer: OptimizerCallable = paper_adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        if (unet is None) == (pretrained is None):
            raise ValueError("give either unet (an architecture) or pretrained (a Hub id or folder)")
        self.t_range = (1, steps) if t_range is None else (int(t_range[0]), int(t_range[1]))
        if not 1 <= self.t_range[0] <= self.t_range[1] <= steps:
            raise ValueError(f"t_range={self.t_range}: expected 1 <= first <= last <= steps={steps}")
        self.augmentation = None if augmentation is None else build(augmentation, Augmentation)
        self.schedule = DiffusionSchedule.linear(steps)
        network: Any = _new_unet(unet) if pretrained is None else _trained_unet(pretrained, self.schedule)
        self.save_hyperparameters(
            {
                "unet": {k: v for k, v in network.config.items() if not k.startswith("_")},
                "pretrained": None,  # a checkpoint holds the weights itself
                "steps": steps,
                "t_range": list(self.t_range),
                "ema_decay": ema_decay,
                "augmentation": None if self.augmentation is None else self.augmentation.spec,
            }
        )
        self.denoiser = Denoiser(network)
        self.ema = AveragedModel(self.denoiser, multi_avg_fn=_RampedAverage(ema_decay)).requires_grad_(False)
        self._optimizer, self._lr_scheduler = optimizer, lr_scheduler

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Take L_simple at a random t per image."""
        del batch_idx
        images = batch.image if self.augmentation is None else self.augmentation(batch.image)
        first, last = self.t_range
        index = torch.randint(first - 1, last, (len(images),), device=images.device)
        loss = self._loss(self.denoiser, images, index, torch.randn_like(images)).mean()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, then update the averaged weights: once per step, however many batches it gathers."""
        super().optimizer_step(*args, **kwargs)
        self.ema.update_parameters(self.denoiser)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Log L_simple of the averaged weights, at a t and with a noise that belong to each sample."""
        del batch_idx
        if dataloader_idx == 0:  # the database holds the training items
            return
        first, last = self.t_range
        draws = [sample_seed(0, "validation-t", sample_id) for sample_id in batch.ids]
        index = torch.tensor([first - 1 + draw % (last - first + 1) for draw in draws], device=self.device)
        noise = SampleNoise(0, "validation", batch.ids)(batch.image)
        loss = self._loss(self.ema, batch.image, index, noise).mean()
        self.log("val/loss", loss, prog_bar=True, batch_size=len(batch), sync_dist=True, add_dataloader_idx=False)

    def _loss(self, denoiser: Any, images: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        return simple_loss(denoiser, self.schedule, 2 * images - 1, index, noise)

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
        steps = len(self.schedule)
        scheduler = DDPMScheduler(num_train_timesteps=steps, beta_start=1e-4, beta_end=0.02)
        pipeline: Any = DDPMPipeline(unet=averaged.unet, scheduler=scheduler)
        pipeline.save_pretrained(folder)


def _new_unet(arguments: dict[str, Any] | None) -> UNet2DModel:
    try:
        return UNet2DModel(**(arguments or {}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"unet={arguments}: diffusers' UNet2DModel refuses these arguments: {error}") from error


def _trained_unet(path: str, schedule: DiffusionSchedule) -> Any:
    diffusion = Diffusion.from_pretrained(path)
    betas, expected = diffusion.schedule.betas, schedule.betas
    if len(betas) != len(expected) or not torch.allclose(betas, expected, rtol=1e-4):
        raise ValueError(
            f"{path}: trained with {len(betas)} steps of beta {betas[0]:.3g}..{betas[-1]:.3g}, "
            f"expected the linear schedule of {len(expected)} steps, {expected[0]:.3g}..{expected[-1]:.3g}"
        )
    return diffusion.denoiser.unet.train()  # diffusers loads in eval mode, and Lightning trains in the mode it finds


class _RampedAverage:
    """Exponential moving average with decay ``min(decay, (1 + n) / (10 + n))`` at update n."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def __call__(self, averaged: Any, current: Any, count: Tensor | int) -> None:
        decay = min(self.decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - decay)
