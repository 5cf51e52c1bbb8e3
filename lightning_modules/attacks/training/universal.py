"""UniversalTraining: one perturbation per target label, crafted on the training pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from lightning_modules.attacks.folder import save_folder
from lightning_modules.attacks.mainstay import mainstay_code
from lightning_modules.attacks.training.losses import masked_disagreement
from lightning_modules.attacks.training.validated import ValidatedTraining
from lightning_modules.checks import check_positive
from lightning_modules.retrieval.targets import target_pool
from lightning_modules.types import Batch, CodeBook


def universal_adam(parameters: Any) -> torch.optim.Optimizer:
    """Adam, learning rate 0.01, as in the code of SS-TUAA."""
    return torch.optim.Adam(parameters, lr=0.01)


class UniversalTraining(ValidatedTraining):
    """Crafts universal targeted perturbations within an L-infinity budget.

    The hashing term of SS-TUAA (Zhu et al., "Exploring Targeted Universal Adversarial Attack for Deep Hashing",
    ICASSP 2024, and the authors' code): from zero, Adam moves each perturbation so that the codes of all training
    pictures agree with the anchor of its target in the bits that do not yet; after every step it is clipped to the
    budget. Their second term, on features of one VGG layer, is left out, as it ties the attack to a backbone; the
    anchor is the mainstay code of the label, of the training items, in place of their own search for one.

    All perturbations learn from every batch, so a step costs one pass of the victim per target.

    Args:
        hasher: checkpoint of the hasher that is attacked.
        eps: L-infinity budget in [0, 1] units.
        margin: a bit counts while ``|h - u|`` exceeds it.
        min_count: perturbations are made for labels that more than so many database items carry; take that of
            the evaluation's targets.
        seed: seed of the validation targets.
        optimizer: called with the perturbations; Adam treats every pixel by itself, hence every target, too.

    Raises:
        ValueError: a budget that is not positive, or no label is that frequent.
    """

    anchors: Tensor

    def __init__(
        self,
        hasher: str,
        eps: float = 8 / 255,
        margin: float = 0.3,
        min_count: int = 9,
        seed: int = 0,
        optimizer: OptimizerCallable = universal_adam,
    ) -> None:
        super().__init__(hasher, seed)
        check_positive(eps=eps)
        self.automatic_optimization = False
        self.eps, self.margin, self.min_count, self._optimizer = eps, margin, min_count, optimizer

    def configure_model(self) -> None:
        """Make the perturbations, once pictures and labels are known."""
        if hasattr(self, "deltas"):
            return
        data, size = self.data, self.data.pixels.size
        labels = target_pool(data.labels("database"), "counted", self.min_count)
        self.table = (labels, torch.arange(len(labels)))
        self.deltas = nn.Parameter(torch.zeros(len(labels), 3, size, size))
        self.register_buffer("anchors", torch.zeros(len(labels), self.victim.num_bits, dtype=torch.int8))

    def on_fit_start(self) -> None:
        """Find the anchors, unless a checkpoint brought them."""
        super().on_fit_start()
        if not self.anchors.any():
            codes = self.encode_split("train").to(torch.int8).cpu()
            known = CodeBook(codes, self.data.labels("train"), self.data.ids("train"))
            self.anchors.copy_(mainstay_code(self.table[0], known))

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Move every perturbation once."""
        del batch_idx
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        losses = []
        for delta, anchor in zip(self.deltas, self.anchors, strict=True):  # one graph at a time
            codes = self.victim((batch.image + delta).clamp(0, 1)).float()
            loss = masked_disagreement(codes, anchor.expand_as(codes), self.margin)
            self.manual_backward(loss)
            losses.append(loss.detach())
        optimizer.step()
        with torch.no_grad():
            self.deltas.clamp_(-self.eps, self.eps)
        self.log("train/loss", torch.stack(losses).mean(), prog_bar=True, batch_size=len(batch))

    def craft(self, images: Tensor, target: tuple[Tensor, ...]) -> Tensor:
        """See :meth:`ValidatedTraining.craft`."""
        return (images + self.deltas[target[1]]).clamp(0, 1)

    def configure_optimizers(self) -> Any:
        """Build the optimiser."""
        return self._optimizer([self.deltas])

    def export(self, folder: str | Path) -> None:
        """Write labels, anchors and perturbations."""
        facts = self.facts("UniversalPerturbation", self.data.pixels.size, eps=self.eps)
        save_folder(folder, facts, {"labels": self.table[0], "anchors": self.anchors, "deltas": self.deltas})
