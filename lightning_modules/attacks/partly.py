"""PartlyAttacked: a query set of which an attacker reached a share only (section 4.2.3 of the RetPur paper)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from lightning_modules.attacks.base import Attack, Knowledge, VictimFacts
from lightning_modules.randomness import sample_uniforms
from lightning_modules.types import AttackGoal, CodeBook, Victim


class PartlyAttacked(Attack):
    """Attacks a seeded share of the queries with another attack and leaves the others as they are.

    Whether a query is attacked depends on its id and the experiment's seed only: of a set, about the share is. Every
    query has a target, so that T-MAP of the whole set has a meaning; anchor scores are those of the attacked and of the
    spared queries alike.

    Args:
        attack: what the reached queries are attacked with.
        share: the chance of a query to be attacked, in [0, 1]; the paper gives none.

    Raises:
        ValueError: a share outside [0, 1].
    """

    def __init__(self, attack: Attack, share: float = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"share={share}: expected a number from 0 to 1")
        self.attack, self.share = attack, share

    @property
    def targeted(self) -> bool:  # type: ignore[override]
        """As the attack."""
        return self.attack.targeted

    @property
    def knowledge(self) -> Knowledge:  # type: ignore[override]
        """As the attack."""
        return self.attack.knowledge

    def check(self, victim: VictimFacts) -> None:
        """Refuse what the attack refuses; see :meth:`Attack.check`."""
        self.attack.check(victim)

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Aim the attack at every query; see :meth:`Attack.aim`."""
        return self.attack.aim(label, ids, knowledge, seed)

    def aim_at_items(
        self, label: Tensor, text: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int
    ) -> AttackGoal:
        """Aim the attack at items, for every query; see :meth:`Attack.aim_at_items`."""
        return self.attack.aim_at_items(label, text, ids, knowledge, seed)

    def reached(self, ids: Sequence[str], seed: int) -> Tensor:
        """Return which queries are attacked, bool ``(B,)``."""
        return sample_uniforms(seed, "attacked share", ids, 1)[:, 0] < self.share

    def forward(self, images: Tensor, goal: AttackGoal, victim: Victim) -> Tensor:
        """Craft the images of the reached queries; see :meth:`Attack.forward`.

        Raises:
            ValueError: the goal has no ids, by which queries are chosen.
        """
        if len(goal.ids) != len(images):
            raise ValueError(f"PartlyAttacked chooses queries by id: {len(goal.ids)} ids for {len(images)} images")
        rows = self.reached(goal.ids, goal.seed).nonzero().flatten().to(images.device)
        made = images.detach().float().clone()
        if len(rows):
            made[rows] = self.attack(images[rows], _part(goal, rows.cpu()), victim)
        return made

    def fingerprint(self) -> str:
        """Identify the result: the share, and the attack with its weights."""
        facts: list[Any] = [type(self).__name__, self.share, self.attack.fingerprint()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _part(goal: AttackGoal, rows: Tensor) -> AttackGoal:
    """Return the goal of the queries at these positions."""

    def part(value: Tensor | None) -> Tensor | None:
        return None if value is None else value[rows.to(value.device)]

    ids = tuple(goal.ids[row] for row in rows.tolist())
    return replace(
        goal, label=goal.label[rows.to(goal.label.device)], code=part(goal.code), text=part(goal.text), ids=ids
    )
