"""What one asks the search page: a picture, and what is done to it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lightning_modules.evaluation.plan import CLEAN


@dataclass(frozen=True, eq=False)
class Query:
    """A picture that the system is asked for.

    Attributes:
        sample_id: its id, which seeds attack and defence.
        image: uint8 ``(3, H, W)``, at the size of the data.
        label: uint8 ``(C,)``; None for a picture from outside whose class is unknown.
        target: uint8 ``(C,)``, the plan's target label; None for a picture from outside.
        target_text: float32 ``(1, D)``, features of the plan's target text, or None.
    """

    sample_id: str
    image: Tensor
    label: Tensor | None
    target: Tensor | None = None
    target_text: Tensor | None = None


@dataclass(frozen=True)
class Choice:
    """What is done to a query.

    Attributes:
        attack: name of an attack of the plan, or ``none``.
        target: name of the label set that the attacker wants; None takes the plan's target.
        defence: name of a defence of the plan, or ``none``.
        purify_steps: T_p of a purifier; None takes the plan's.
        scale: guidance scale s of a purifier; None takes the plan's.
        depth: images and texts per list, at least 1.
    """

    attack: str = CLEAN
    target: str | None = None
    defence: str = CLEAN
    purify_steps: int | None = None
    scale: float | None = None
    depth: int = 10
