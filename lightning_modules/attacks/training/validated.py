"""ValidatedTraining: the training of an attack that changes pictures by itself, scored on the validation queries."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn
from torchmetrics import MeanSquaredError

from lightning_modules.attacks.training.base import AttackTraining
from lightning_modules.checks import round_to_8bit
from lightning_modules.hashing.network import Role
from lightning_modules.randomness import sample_numpy_generator
from lightning_modules.retrieval.metrics import HammingMAP
from lightning_modules.types import Batch, binarize


class ValidatedTraining(AttackTraining):
    """Attacks the validation queries: ``val/t_map`` and ``val/map`` rank part of the database by their 8-bit images.

    ``val/rmse`` is the perceptibility, the root of the mean squared error over all queries, in [0, 1] units.

    Args:
        hasher: see :class:`AttackTraining`.
        seed: see there.

    Attributes:
        table: what targets are drawn from, each row with the same chance: labels uint8 ``(T, C)``, and further columns
            that an attack needs; on the CPU.
    """

    table: tuple[Tensor, ...]

    def __init__(self, hasher: str, seed: int = 0) -> None:
        super().__init__(hasher, seed)
        self.metrics: Any = nn.ModuleDict({"map": HammingMAP(), "t_map": HammingMAP()})
        self.rmse = MeanSquaredError(squared=False)
        self._database_codes: dict[int, Tensor] = {}

    @abstractmethod
    def craft(self, images: Tensor, target: tuple[Tensor, ...]) -> Tensor:
        """Attack images float ``(B, 3, H, W)`` in [0, 1] towards rows of the table; the same shape and range."""

    def targets(self, batch: Batch, occasion: str) -> tuple[Tensor, ...]:
        """Draw a row of the table for each image, by seed, occasion and sample id: its columns ``(B, ...)``."""
        count, names = len(self.table[0]), [f"{occasion}/{name}" for name in batch.ids]
        rows = [int(sample_numpy_generator(self.seed, "target", name).integers(count)) for name in names]
        return tuple(column[rows].to(self.device) for column in self.table)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any] | None:
        """Hash database items, attack queries; for the latter, return pictures for callbacks."""
        if Role(dataloader_idx) is Role.database:
            if batch_idx not in self._database_codes:  # the victim does not change
                self._database_codes[batch_idx] = binarize(self.victim(batch.image))
            for metric in self.metrics.values():
                metric.update(self._database_codes[batch_idx], batch.label, batch.index, "database")
            return None
        target = self.targets(batch, "validation")
        attacked = round_to_8bit(self.craft(batch.image, target))
        pixels = attacked.float() / 255
        codes = binarize(self.victim(pixels))
        self.metrics["map"].update(codes, batch.label, batch.index, "query")
        self.metrics["t_map"].update(codes, target[0], batch.index, "query")
        self.rmse.update(pixels.flatten(), batch.image.flatten())
        return {"original": round_to_8bit(batch.image), "attacked": attacked}

    def on_validation_epoch_end(self) -> None:
        """Log success and perceptibility of the attack."""
        self.log_dict({f"val/{name}": metric for name, metric in self.metrics.items()}, prog_bar=True)
        self.log("val/rmse", self.rmse, prog_bar=True)
