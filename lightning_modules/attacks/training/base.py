"""AttackTraining: what all trainings of attacks share, above all the frozen victim."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from tqdm import tqdm

from lightning_modules.attacks.folder import AttackFacts
from lightning_modules.hashing import HashEncoder, digest_of_encoder, hash_kept_features, load_encoder
from lightning_modules.processes import is_first_process
from lightning_modules.types import binarize

VICTIM_KEY = "retpur_victim"


class AttackTraining(LightningModule):
    """Trains an attack against a hasher; ``export(folder)`` writes what the attack is read from.

    The hasher is no part of the module tree: it is frozen, in eval mode, and a checkpoint holds its digest only.

    Args:
        hasher: checkpoint of the hasher, written by ``train.py fit``.
        seed: seed of every random choice of the training, beside the initial weights.
    """

    victim: HashEncoder

    def __init__(self, hasher: str, seed: int = 0) -> None:
        super().__init__()
        self.hasher, self.seed = hasher, seed
        self.victim_digest = ""

    @property
    def data(self) -> Any:
        """The data module."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def setup(self, stage: str) -> None:
        """Load the hasher and check that it fits the data.

        Raises:
            ValueError: no such hasher, one of other classes, or several processes.
        """
        del stage
        if self.trainer.world_size > 1:
            raise ValueError(f"{type(self).__name__} trains on one device: set --trainer.devices 1")
        # Past nn.Module's bookkeeping: what is registered is saved, moved and trained.
        victim = load_encoder(self.hasher, self.data)
        object.__setattr__(self, "victim", victim)
        self.victim_digest = digest_of_encoder(victim)

    def on_fit_start(self) -> None:
        """Move the hasher to the device."""
        self.victim.to(self.device)

    def on_validation_start(self) -> None:
        """Move the hasher to the device, for a validation alone."""
        self.victim.to(self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store which hasher is attacked."""
        checkpoint[VICTIM_KEY] = self.victim_digest

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on against another hasher.

        Raises:
            ValueError: the checkpoint belongs to another training.
        """
        if checkpoint.get(VICTIM_KEY) != self.victim_digest:
            raise ValueError(f"the checkpoint is of an attack on another hasher than {self.hasher!r}: train anew")

    @torch.no_grad()
    def encode_split(self, split: str) -> Tensor:
        """Hash a whole split with the victim, in its order: float ``(N, K)`` in {-1, +1}."""
        kept = hash_kept_features(self.victim, self.data, split)
        if kept is not None:
            return kept.float().to(self.device)
        loader = self.data.loader.over(self.data.dataset(split))
        shown = tqdm(loader, desc=f"codes of {split}", leave=False, disable=not is_first_process())
        return torch.cat([binarize(self.victim(batch.to(self.device).image)).float() for batch in shown])

    def facts(self, attack: str, image_size: int | None = None, **options: Any) -> AttackFacts:
        """Say what an exported attack fits."""
        return AttackFacts(
            attack=attack,
            num_bits=self.victim.num_bits,
            num_classes=self.data.num_classes,
            image_size=image_size,
            class_names=tuple(self.data.class_names),
            dataset=self.data.dataset_name,
            victim=self.victim_digest,
            options=options or None,
        )
