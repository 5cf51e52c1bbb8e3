"""Manual optimisation: takes the steps that a training procedure yields."""

from __future__ import annotations

from typing import Any

import torch

from lightning_modules.hashing.losses.procedure import Forward, TrainingProcedure
from lightning_modules.types import Batch


def take_steps(module: Any, procedure: TrainingProcedure, forward: Forward, batch: Batch) -> None:
    """Take every step of one batch and log its loss.

    Args:
        module: a HashingModule in manual optimisation; ``optimizer_names`` names its optimisers in order.
        procedure: what is trained.
        forward: its encoders on this batch.
        batch: the batch.
    """
    made = module.optimizers(use_pl_optimizer=True)
    optimizers = dict(zip(module.optimizer_names, made if isinstance(made, list) else [made], strict=True))
    with torch.autocast(module.device.type, enabled=False):
        for step in procedure.steps(forward, batch):
            for optimizer in optimizers.values():  # gradients of networks that a loss only passes through
                optimizer.zero_grad()
            module.manual_backward(step.loss)
            for name in step.optimizers:
                module.clip_gradients(optimizers[name], step.clip, "norm")
                optimizers[name].step()
            module.log(f"train/{step.name}", step.loss.detach(), prog_bar=True, batch_size=len(batch))


def step_schedules(module: Any) -> None:
    """Step the learning rates once, which Lightning leaves to the module in manual optimisation."""
    schedules = module.lr_schedulers() or []
    for schedule in schedules if isinstance(schedules, list) else [schedules]:
        schedule.step()
