"""Universal targeted perturbations: one change of all pictures per target label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_modules.attacks.trained import TrainedAttack
from lightning_modules.checks import check_images
from lightning_modules.types import AttackGoal, CodeBook, Victim

TENSORS = ("labels", "anchors", "deltas")


class UniversalPerturbation(TrainedAttack):
    """Adds the perturbation of the target label, crafted on training pictures; the victim is not asked again.

    See :class:`~lightning_modules.attacks.training.UniversalTraining`.

    Args:
        folder: folder of the trained perturbations.

    Raises:
        ValueError: no such folder, or damaged files.
    """

    labels: Tensor
    anchors: Tensor
    deltas: Tensor

    def __init__(self, folder: str) -> None:
        super().__init__(folder)

    def _build(self, tensors: dict[str, Tensor]) -> None:
        size, count = self.facts.image_size, len(tensors.get("labels", ()))
        shapes = {
            "labels": (count, self.facts.num_classes),
            "anchors": (count, self.facts.num_bits),
            "deltas": (count, 3, size, size),
        }
        if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes or count == 0:
            raise ValueError(f"attack folder {self.folder!r}: expected tensors of the shapes {shapes}")
        if not tensors["deltas"].isfinite().all():
            raise ValueError(f"attack folder {self.folder!r}: a perturbation holds NaN or infinite values")
        for name in TENSORS:
            self.register_buffer(name, tensors[name])

    def rows(self, label: Tensor) -> Tensor:
        """Return which perturbation is that of each label ``(B, C)``: int64 ``(B,)``.

        Raises:
            ValueError: there is none for a label.
        """
        equal = (label.to(self.labels)[:, None] == self.labels).all(dim=2)
        missing = equal.any(dim=1).logical_not().nonzero().flatten().tolist()
        if missing:
            names = self.facts.class_names or tuple(map(str, range(self.facts.num_classes)))
            wanted = [name for name, flag in zip(names, label[missing[0]].tolist(), strict=True) if flag]
            raise ValueError(
                f"attack folder {self.folder!r}: no perturbation was trained for the target {wanted}; "
                "train with the min_count of the plan's targets, and its pool 'counted'"
            )
        return equal.int().argmax(dim=1)

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Take the codes that the perturbations were trained for; see :meth:`Attack.aim`."""
        del knowledge
        code = self.anchors[self.rows(label)]
        return AttackGoal(label, code.to(label.device), ids=tuple(ids), seed=seed)

    @torch.no_grad()
    def forward(self, images: Tensor, goal: AttackGoal, victim: Victim) -> Tensor:
        """Add the perturbations; see :meth:`Attack.forward`."""
        del victim
        check_images(images)
        if images.shape[1:] != self.deltas.shape[1:]:
            raise ValueError(
                f"images have the shape {tuple(images.shape[1:])}, the perturbations {tuple(self.deltas.shape[1:])}"
            )
        return (images + self.deltas[self.rows(goal.label)]).clamp(0, 1)
