"""What an attacker may aim at: the label sets that the database holds."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from app.found import class_names
from app.query import Choice, Query
from lightning_modules.attacks import Attack
from lightning_modules.evaluation.context import HasherContext

MOST_TARGETS = 200  # in a list to pick from


class Targets:
    """The label sets of a database, the most frequent first: attacks aim at items that carry exactly one of them.

    Args:
        context: the hasher that is attacked.
    """

    def __init__(self, context: HasherContext) -> None:
        self._context = context
        labels, counts = torch.unique(context.database.labels, dim=0, return_counts=True)
        order = counts.argsort(descending=True, stable=True)
        named = ((class_names(context, labels[row]), labels[row]) for row in order[:MOST_TARGETS].tolist())
        self._labels = {name: label for name, label in named if name}

    @property
    def names(self) -> list[str]:
        """Names of the label sets."""
        return list(self._labels)

    def aim(self, query: Query, choice: Choice, attack: Attack | None) -> Query:
        """Return the query with the target that is attacked for: the chosen one, the plan's, or none at all.

        Raises:
            ValueError: no such label set, or none is chosen for a picture that has none from the plan.
        """
        if attack is None or not attack.targeted:
            return replace(query, target=torch.zeros_like(self._context.database.labels[0]), target_text=None)
        if choice.target is None:
            if query.target is None:
                raise ValueError(f"attack {choice.attack!r} needs a target for a picture from outside the plan")
            return query
        if choice.target not in self._labels:
            raise ValueError(f"target {choice.target!r}: expected one of {', '.join(self._labels)}")
        target = self._labels[choice.target]
        return replace(query, target=target, target_text=self._text_of(target))

    def _text_of(self, target: Tensor) -> Tensor | None:
        """Return the text features ``(1, D)`` of the first item with this label set, if items have texts."""
        if self._context.text is None:
            return None
        row = int((self._context.database.labels == target).all(dim=1).nonzero()[0])
        text: Tensor | None = self._context.data.dataset(self._context.database_split)[row].text
        return None if text is None else text[None]
