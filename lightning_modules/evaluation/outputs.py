"""QueryOutputs: what one step of an evaluation made of its queries."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class QueryOutputs:
    """What a step shows to callbacks; all on the CPU.

    Attributes:
        ids: ids of the queries.
        original: uint8 ``(B, 3, H, W)``.
        attacked: uint8 ``(B, 3, H, W)``; the original where there is no attack.
        defended: uint8 ``(B, 3, H, W)``; the attacked image where there is no defence, the first of several paths.
        codes: int8 ``(B, K)`` in {-1, +1} of the defended images; the vote of all paths.
        clean: int8 ``(B, K)`` codes of the original images without defence.
        label: uint8 ``(B, C)`` true labels.
        target: uint8 ``(B, C)`` target labels; all zero where the attack is untargeted.
        anchor: int8 ``(B, K)`` codes that the attack aimed at, or None.
    """

    ids: tuple[str, ...]
    original: Tensor
    attacked: Tensor
    defended: Tensor
    codes: Tensor
    clean: Tensor
    label: Tensor
    target: Tensor
    anchor: Tensor | None
