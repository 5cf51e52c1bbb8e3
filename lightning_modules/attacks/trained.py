"""TrainedAttack: an attack with weights, read from the folder that its training wrote."""

from __future__ import annotations

import hashlib
import json
import shutil
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from lightning_modules.attacks.base import Attack, Knowledge, VictimFacts
from lightning_modules.attacks.folder import WEIGHTS, AttackFacts, load_folder, write_config
from lightning_modules.attacks.networks import PrototypeNet
from lightning_modules.digests import digest_of_weights
from lightning_modules.hub import HubModel
from lightning_modules.types import AttackGoal, CodeBook, binarize


class TrainedAttack(Attack, HubModel):
    """An attack that was trained against a hasher; it refuses a victim that it does not fit.

    Args:
        folder: folder of the trained attack.

    Attributes:
        facts: what the attack fits.

    Raises:
        ValueError: no such folder, damaged files, or the folder of another attack.
    """

    knowledge: Knowledge = "nothing"  # it was all the training's

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.facts: AttackFacts
        self.facts, tensors = load_folder(folder, type(self).__name__)
        self._build(tensors)
        self.eval().requires_grad_(False)

    @abstractmethod
    def _build(self, tensors: dict[str, Tensor]) -> None:
        """Make the networks that ``self.facts`` names and fill them with the tensors of the folder."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(tensor.device for tensor in self.state_dict().values())

    def check(self, victim: VictimFacts) -> None:
        """Refuse a hasher of other bits, classes or pictures; see :meth:`Attack.check`."""
        name, facts = f"attack folder {self.folder!r}", self.facts
        if victim.num_bits != facts.num_bits:
            raise ValueError(f"{name} was trained for {facts.num_bits} bits, the hasher has {victim.num_bits}")
        if len(victim.class_names) != facts.num_classes:
            raise ValueError(f"{name} knows {facts.num_classes} classes, the data has {len(victim.class_names)}")
        if facts.class_names is not None and victim.class_names != facts.class_names:
            raise ValueError(f"{name} was trained on other classes than the data has, or on another order of them")
        if facts.image_size is not None and victim.image_size != facts.image_size:
            raise ValueError(
                f"{name} was trained for pictures of {facts.image_size} px, the data has {victim.image_size} px"
            )

    def train(self, mode: bool = True) -> Any:
        """Stay in eval mode: the attack is trained already."""
        del mode
        return super().train(False)

    def card_facts(self) -> dict[str, Any]:
        """Return what the attack fits; see :meth:`HubModel.card_facts`."""
        facts = self.facts
        found = {"kind": "attack", "method": facts.attack, "data set": facts.dataset or "not known"}
        return found | {"bits": facts.num_bits, "classes": facts.num_classes, "image size": facts.image_size}

    def _save_pretrained(self, save_directory: Path) -> None:
        write_config(save_directory, self.facts)
        source, target = Path(self.folder) / WEIGHTS, save_directory / WEIGHTS
        if source.resolve() != target.resolve():
            shutil.copyfile(source, target)

    @classmethod
    def load_pretrained(cls, folder: Path, **options: Any) -> Self:
        """Read the folder of a trained attack; see :meth:`HubModel.load_pretrained`."""
        return cls(str(folder), **options)

    def fingerprint(self) -> str:
        """Identify the result: options and weights, not the place they were loaded from."""
        options = {k: v for k, v in self.spec["init_args"].items() if k != "folder"}
        facts = [type(self).__name__, options, digest_of_weights(self)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class PrototypeAttack(TrainedAttack):
    """A trained attack that aims at the prototype code of the target label."""

    prototype: PrototypeNet

    @torch.no_grad()
    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Take the signs of the prototype codes; see :meth:`Attack.aim`."""
        del knowledge
        code = self.prototype(label.to(self.device)).code
        return AttackGoal(label, binarize(code).to(label.device), ids=tuple(ids), seed=seed)
