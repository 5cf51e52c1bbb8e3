"""TA-DCH: "Targeted Adversarial Attack Against Deep Cross-Modal Hashing Retrieval" (Wang et al., TCSVT 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_modules.attacks.base import VictimFacts
from lightning_modules.attacks.folder import load_prefixed
from lightning_modules.attacks.generative import GenerativeAttack
from lightning_modules.attacks.networks import FusionPrototypeNet, TADCHGenerator
from lightning_modules.attacks.networks.prototype import HIDDEN
from lightning_modules.randomness import sample_numpy_generator
from lightning_modules.types import AttackGoal, CodeBook, binarize

TABLE = ("labels", "texts")


class TADCH(GenerativeAttack):
    """TA-DCH's generator, conditioned on the fused semantics of a target label and a target text.

    It attacks image queries, whatever they are ranked against: images or texts. In the paper a target is a random
    database item, label and text (:meth:`aim_at_items`; the target pool ``rows``). Where it is a label alone
    (:meth:`aim`), the text is that of a training item which carries this label exactly, drawn by the query's id; where
    no training item does, of one whose label overlaps it most.

    The folder is written by :class:`~lightning_modules.attacks.training.TADCHTraining`; for the options see
    :class:`GenerativeAttack`.
    """

    reads_texts = True
    labels: Tensor
    texts: Tensor

    def _build(self, tensors: dict[str, Tensor]) -> None:
        facts, options = self.facts, dict(self.facts.options or {})
        if missing := [name for name in TABLE if name not in tensors]:
            raise ValueError(f"attack folder {self.folder!r}: no {missing[0]} of target items")
        for name in TABLE:
            self.register_buffer(name, tensors.pop(name))
        hidden = options.pop("hidden", HIDDEN)
        self.prototype = FusionPrototypeNet(facts.num_classes, self.texts.shape[1], facts.num_bits, hidden)
        self.generator = TADCHGenerator(self.image_size(), **options)
        networks = {"prototype": self.prototype, "generator": self.generator}
        load_prefixed(networks, tensors, f"attack folder {self.folder!r}")

    def check(self, victim: VictimFacts) -> None:
        """Also refuse texts of another width; see :meth:`Attack.check`."""
        super().check(victim)
        width = self.texts.shape[1]
        if victim.text_width not in (None, width):
            raise ValueError(
                f"attack folder {self.folder!r} was trained on {width} text features, the data has {victim.text_width}"
            )

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Choose a text for each target label, then go on as :meth:`aim_at_items`; see :meth:`Attack.aim`."""
        return self.aim_at_items(label, self.texts[self.rows(label, ids, seed)], ids, knowledge, seed)

    @torch.no_grad()
    def aim_at_items(
        self, label: Tensor, text: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int
    ) -> AttackGoal:
        """Take the signs of the prototype codes of label and text; see :meth:`Attack.aim_at_items`."""
        del knowledge
        code = self.prototype(label.to(self.device), text.to(self.device)).code
        return AttackGoal(label, binarize(code).to(label.device), text, ids=tuple(ids), seed=seed)

    def rows(self, label: Tensor, ids: Sequence[str], seed: int) -> Tensor:
        """Draw the training item that lends its text to each target: int64 ``(B,)``."""
        wanted, known = label.to(self.device).float(), self.labels.float()
        both = wanted @ known.T
        either = wanted.sum(dim=1, keepdim=True) + known.sum(dim=1) - both
        overlap = torch.where(either > 0, both / either.clamp_min(1), 1.0)  # Jaccard; 1 for equal labels only
        best = overlap == overlap.amax(dim=1, keepdim=True)
        chosen = []
        for row, sample_id in zip(best.cpu(), ids, strict=True):
            candidates = row.nonzero().flatten()
            chosen.append(candidates[sample_numpy_generator(seed, "target text", sample_id).integers(len(candidates))])
        return torch.stack(chosen).to(self.device)

    def semantics(self, goal: AttackGoal) -> Tensor:
        """Return the fused semantics ``(B, 64, 16, 16)``.

        Raises:
            ValueError: the goal has no target text.
        """
        if goal.text is None:
            raise ValueError("TA-DCH needs a target text: call aim() first")
        return self.prototype(goal.label.to(self.device), goal.text.to(self.device)).semantic
