"""PrototypeTraining: the first stage of ProS-GAN, and all that THA trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_modules.attacks.folder import prefixed, save_folder
from lightning_modules.attacks.networks import PrototypeNet
from lightning_modules.attacks.training.base import AttackTraining
from lightning_modules.attacks.training.objectives import PrototypeObjective
from lightning_modules.checks import check_positive
from lightning_modules.randomness import sample_generator
from lightning_modules.retrieval.metrics import apply_empty_policy, average_precisions
from lightning_modules.retrieval.targets import target_pool
from lightning_modules.types import binarize

SCORED_LABELS = 500


def attack_adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam, learning rate 1e-4, betas 0.5 and 0.999: the optimiser of ProS-GAN, THA and TA-DCH."""
    return torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.999))


class PrototypeTraining(AttackTraining):
    """Trains a prototype network on labels alone.

    Every step draws label combinations of the database, each with the same chance; codes of the training images
    are made once. ``val/prototype_map`` is the MAP of the prototype codes, of at most 500 labels, against those
    codes: what the attack can reach at best. A step's draw depends on the seed and its number only.

    Args:
        hasher: checkpoint of the hasher that is attacked.
        objective: ProS-GAN's or THA's.
        labels_per_step: labels drawn per step; 64 in ProS-GAN, 32 in THA.
        steps_per_epoch: 300 in both, for 100 epochs.
        drop_empty: leave out the all-zero label, which nothing can retrieve; the authors' code keeps it.
        decay_at: shares of all steps at which the learning rate falls to a tenth.
        seed: seed of the draws.
        optimizer: called with the parameters.

    Raises:
        ValueError: a count that is not positive.
    """

    table: tuple[Tensor, ...]
    codes: Tensor
    code_labels: Tensor

    def __init__(
        self,
        hasher: str,
        objective: PrototypeObjective,
        labels_per_step: int = 64,
        steps_per_epoch: int = 300,
        drop_empty: bool = True,
        decay_at: tuple[float, ...] = (0.5, 0.75),
        seed: int = 0,
        optimizer: OptimizerCallable = attack_adam,
    ) -> None:
        super().__init__(hasher, seed)
        check_positive(labels_per_step=labels_per_step, steps_per_epoch=steps_per_epoch)
        self.objective = objective
        self.labels_per_step, self.steps_per_epoch = labels_per_step, steps_per_epoch
        self.drop_empty, self.decay_at = drop_empty, decay_at
        self._optimizer = optimizer

    def setup(self, stage: str) -> None:
        """Load the hasher; in place of pictures, train on numbers of steps and validate on labels."""
        super().setup(stage)
        data, self.table = self.data, self.make_table()
        count = len(self.table[0])
        spread = torch.linspace(0, count - 1, min(SCORED_LABELS, count)).round().long()
        scored: Any = [tuple(column[spread] for column in self.table)]
        steps: Any = range(self.steps_in_epoch())
        data.train_dataloader = lambda: DataLoader(steps, batch_size=None)
        data.val_dataloader = lambda: DataLoader(scored, batch_size=None)

    def make_table(self) -> tuple[Tensor, ...]:
        """Return what is drawn from: labels uint8 ``(T, C)``, and further inputs of the network."""
        return (target_pool(self.data.labels("database"), "unique", drop_empty=self.drop_empty),)

    def steps_in_epoch(self) -> int:
        """Return how many steps an epoch takes."""
        return self.steps_per_epoch

    def make_network(self) -> nn.Module:
        """Return the network, untrained."""
        return PrototypeNet(self.data.num_classes, self.victim.num_bits, self.objective.classifier)

    def configure_model(self) -> None:
        """Make the network, once bits and classes are known."""
        if hasattr(self, "prototype"):
            return
        self.prototype = self.make_network()
        labels = self.data.labels("train")
        self.register_buffer("code_labels", labels, persistent=False)
        self.register_buffer("codes", torch.zeros(len(labels), self.victim.num_bits))

    def on_fit_start(self) -> None:
        """Hash the training images, unless a checkpoint brought their codes."""
        super().on_fit_start()
        if not self.codes.any():
            self.codes.copy_(self.encode_split("train"))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Take the loss of a draw of labels."""
        del batch, batch_idx
        drawn = self.draw(self.global_step)
        prototype = self.prototype(*drawn)
        terms = self.objective(prototype, drawn[0], self.codes, self.code_labels)
        loss = torch.stack(list(terms.values())).sum()
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def draw(self, step: int) -> tuple[Tensor, ...]:
        """Return the rows of the table that a step learns from, its columns ``(labels_per_step, ...)``."""
        rows = self.rows(step)
        return tuple(column[rows].to(self.device) for column in self.table)

    def rows(self, step: int) -> Tensor:
        """Draw rows with replacement."""
        generator = sample_generator(self.seed, "prototype-labels", str(step))
        return torch.randint(len(self.table[0]), (self.labels_per_step,), generator=generator)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        """Log the MAP of the prototype codes of some rows of the table; return the codes for callbacks."""
        del batch_idx
        labels = batch[0]
        codes = binarize(self.prototype(*batch).code)
        known = (self.codes.to(torch.int8).cpu(), self.code_labels.cpu())
        scores = apply_empty_policy(average_precisions(codes.cpu(), labels.cpu(), *known))
        self.log("val/prototype_map", scores.mean().float(), prog_bar=True, batch_size=len(labels))
        return {"codes": codes}

    def configure_optimizers(self) -> Any:
        """Build the optimiser; its rate falls to a tenth at the shares ``decay_at`` of all steps."""
        optimizer = self._optimizer(self.prototype.parameters())
        steps = int(self.trainer.estimated_stepping_batches)
        milestones = [int(steps * share) for share in self.decay_at]
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def export(self, folder: str | Path) -> None:
        """Write the network: the attack THA itself, or what ProS-GAN's second stage starts from."""
        facts = self.facts(self.objective.product, **self.options())
        save_folder(folder, facts, prefixed({"prototype": self.prototype}))

    def options(self) -> dict[str, Any]:
        """Return the arguments that the network is made with, beside the sizes of labels and codes."""
        return {}
