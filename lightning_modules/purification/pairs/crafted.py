"""CraftedPairs: training images are attacked while the purifier trains."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lightning_modules.attacks import Attack, VictimFacts
from lightning_modules.checks import round_to_8bit
from lightning_modules.hashing import HashEncoder
from lightning_modules.hashing.checkpoints import load_encoder
from lightning_modules.processes import is_first_process
from lightning_modules.purification.objectives.base import uniform_integers
from lightning_modules.purification.pairs.base import PairSource
from lightning_modules.randomness import sample_seed
from lightning_modules.retrieval.targets import Exclusion, TargetPool, draw_targets
from lightning_modules.types import Batch, CodeBook, binarize


class CraftedPairs(PairSource):
    """Attacks training images on a trained hasher, with fresh targets in every epoch.

    Targets and anchors come from the training split: nothing of the queries is seen. To learn of several attacks is
    to learn less of each one; keep one attack and one hasher back to test on.

    Args:
        victim: checkpoint of the hasher, written by ``train.py fit``.
        attacks: one is drawn for every image.
        clean_share: probability that an image stays clean in an epoch.
        pool: pool of target labels, see :func:`~lightning_modules.retrieval.targets.draw_targets`.
        min_count: for the pool ``counted``: items that vote for an anchor.
        exclude: targets that are not allowed.
        seed: seed of every choice.

    Raises:
        ValueError: no attack, or a share outside [0, 1].
    """

    def __init__(
        self,
        victim: str,
        attacks: list[Attack],
        clean_share: float = 0.5,
        pool: TargetPool = "counted",
        min_count: int = 9,
        exclude: Exclusion = "none",
        seed: int = 0,
    ) -> None:
        super().__init__(clean_share, seed)
        if not attacks:
            raise ValueError("attacks: expected at least one")
        self.victim, self.attacks = victim, tuple(attacks)
        self.pool: TargetPool = pool
        self.min_count, self.exclude = min_count, exclude
        self._open: tuple[HashEncoder, CodeBook] | None = None

    def setup(self, data: Any, device: torch.device) -> None:
        """Load the victim and hash the training split with it; see :meth:`PairSource.setup`."""
        encoder = load_encoder(self.victim, data).to(device)
        facts = VictimFacts(encoder.num_bits, tuple(data.class_names), data.pixels.size)
        for attack in self.attacks:
            attack.check(facts)
        labels, ids = data.labels("train"), data.ids("train")
        draw_targets(labels[:1], ids[:1], labels, self.pool, self.min_count, self.exclude)  # an empty pool shows now
        loader = data.loader.over(data.dataset("train"))
        shown = tqdm(loader, "hashing the training split", disable=not is_first_process(), leave=False)
        with torch.no_grad():
            codes = torch.cat([binarize(encoder(batch.to(device).image)).cpu() for batch in shown])
        self._open = encoder, CodeBook(codes, labels, ids)

    def attacked(self, batch: Batch, choice: Tensor, epoch: int) -> Tensor:
        """Attack every image by the attack that is drawn for it; see :meth:`PairSource.attacked`."""
        chosen = uniform_integers(choice, 0, torch.full_like(choice, len(self.attacks) - 1))
        images = torch.empty_like(batch.image)
        for number, attack in enumerate(self.attacks):
            rows = (chosen == number).nonzero().flatten()
            if len(rows):
                images[rows.to(images.device)] = self._craft(attack, batch.part(rows.tolist()), epoch)
        return images

    def _craft(self, attack: Attack, batch: Batch, epoch: int) -> Tensor:
        if self._open is None:
            raise RuntimeError("call setup() first")
        encoder, knowledge = self._open
        seed, label = sample_seed(self.seed, "pairs", str(epoch)), batch.label.cpu()  # goals draw by seed and id
        if attack.targeted:
            pool = (self.pool, self.min_count, self.exclude)
            label = draw_targets(label, batch.ids, knowledge.labels, *pool, seed=seed)
        goal = attack.aim(label, batch.ids, knowledge, seed)
        return round_to_8bit(attack.to(batch.image.device)(batch.image, goal, encoder)).to(batch.image) / 255
