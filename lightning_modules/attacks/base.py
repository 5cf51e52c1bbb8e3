"""Attack: the one interface of all attacks, however they came to be."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.configurable import Configurable
from lightning_modules.types import AttackGoal, CodeBook, Victim

Knowledge = Literal["database", "training", "nothing"]
SplitKnowledge = Literal["database", "training"]


@dataclass(frozen=True)
class VictimFacts:
    """What an attack may have to fit.

    Attributes:
        num_bits: code length of the hasher that is attacked.
        class_names: the classes of the data, in label order.
        image_size: side of the pictures.
        text_width: number of text features of an item, or None where the data has no texts.
    """

    num_bits: int
    class_names: tuple[str, ...]
    image_size: int
    text_width: int | None = None


class Attack(nn.Module, Configurable, ABC):
    """Crafts adversarial queries in two steps: :meth:`aim`, then ``attack(images, goal, victim)``.

    Constructors take hyper-parameters only; victim, goal and what the attacker knows are arguments. An
    attack needs no Lightning to craft an image.

    Attributes:
        targeted: whether the attack pulls queries to a target label. An untargeted one is aimed with the queries' own
            labels and drives them away from what is relevant to these.
        knowledge: whose codes, labels and ids the attacker knows: the whole ``database``, its ``training`` items, or
            ``nothing``.
        reads_texts: whether an image depends on the text of the target item, too.
    """

    targeted: bool = True
    knowledge: Knowledge = "database"
    reads_texts: bool = False

    def check(self, victim: VictimFacts) -> None:
        """Refuse a victim that this attack does not fit; called before any work.

        Raises:
            ValueError: the attack was trained for other bits, classes or pictures.
        """
        del victim

    def aim(self, label: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int) -> AttackGoal:
        """Turn target labels into a goal.

        Args:
            label: uint8 ``(B, C)`` target labels; the queries' own for an untargeted attack.
            ids: ids of the queries that are attacked; they seed every random choice.
            knowledge: codes, labels and ids that the attacker knows, see ``Attack.knowledge``.
            seed: the experiment's seed.

        Returns:
            the goal; without a code for an attack that needs none.
        """
        del knowledge
        return AttackGoal(label, ids=tuple(ids), seed=seed)

    def aim_at_items(
        self, label: Tensor, text: Tensor, ids: Sequence[str], knowledge: CodeBook, seed: int
    ) -> AttackGoal:
        """Turn target items, each a label and a text, into a goal.

        Args:
            label: see :meth:`aim`.
            text: float32 ``(B, D)`` features of the target items' texts.
            ids: see :meth:`aim`, as what follows.
            knowledge: see there.
            seed: see there.

        Returns:
            the goal, with its texts.
        """
        return replace(self.aim(label, ids, knowledge, seed), text=text)

    @abstractmethod
    def forward(self, images: Tensor, goal: AttackGoal, victim: Victim) -> Tensor:
        """Craft adversarial images.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1].
            goal: of the same queries.
            victim: an encoder, or a defended one.

        Returns:
            float32 ``(B, 3, H, W)`` in [0, 1], detached. An image does not depend on its batch.
        """

    def fingerprint(self) -> str:
        """Return what identifies the result beside victim and goal: specification and weights."""
        return hashlib.sha256(json.dumps(self.spec, sort_keys=True).encode()).hexdigest()


@contextmanager
def frozen(victim: Any) -> Iterator[Any]:
    """Put a victim in eval mode without gradients of its parameters; restore it afterwards.

    No autograd graph is kept for the parameters, so that an iteration costs one forward pass and one input
    gradient.
    """
    root = victim if isinstance(victim, nn.Module) else nn.Module()  # a plain function has nothing to freeze
    modes = [(module, module.training) for module in root.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in root.parameters()]
    root.eval().requires_grad_(False)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield victim
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)


def check_knowledge(knowledge: SplitKnowledge) -> SplitKnowledge:
    """Return the split that an attack may know.

    Raises:
        ValueError: it is neither.
    """
    if knowledge not in ("training", "database"):
        raise ValueError(f"knowledge={knowledge!r}: expected 'training' or 'database'")
    return knowledge
