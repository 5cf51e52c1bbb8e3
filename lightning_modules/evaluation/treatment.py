"""What is done to queries, without a store or a Trainer: attack, defend, hash."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.attacks import Attack
from lightning_modules.checks import round_to_8bit
from lightning_modules.defences import Defence, DefendedEncoder, vote
from lightning_modules.types import CodeBook, Victim


def craft(
    attack: Attack,
    victim: Victim,
    images: Tensor,
    label: Tensor,
    text: Tensor | None,
    ids: Sequence[str],
    known: CodeBook,
    seed: int,
) -> tuple[Tensor, Tensor | None]:
    """Attack images.

    Args:
        attack: crafts them.
        victim: the encoder, or what :func:`attacked_encoder` makes of it.
        images: float ``(B, 3, H, W)`` in [0, 1].
        label: uint8 ``(B, C)`` target labels; the queries' own for an untargeted attack.
        text: float32 ``(B, D)`` features of the target items' texts, or None.
        ids: ids of the queries.
        known: what the attacker knows, see ``Attack.knowledge``.
        seed: the experiment's seed.

    Returns:
        attacked images, uint8 ``(B, 3, H, W)``, and the codes int8 ``(B, K)`` that they steer to, if there are any.
    """
    goal = attack.aim(label, ids, known, seed) if text is None else attack.aim_at_items(label, text, ids, known, seed)
    return round_to_8bit(attack(images, goal, victim)), goal.code


def attacked_encoder(encoder: nn.Module, through: tuple[Defence, int] | None, ids: Sequence[str]) -> nn.Module:
    """Return what an attack's gradients run through: the encoder, or a defence (and its draws) before it."""
    return encoder if through is None else DefendedEncoder(through[0], encoder, ids, through[1])


@torch.no_grad()
def defend(defence: Defence, images: Tensor, ids: Sequence[str]) -> Tensor:
    """Defend images float ``(B, 3, H, W)`` in [0, 1]; returns every path, uint8 ``(n_paths, B, 3, H, W)``."""
    return round_to_8bit(defence.paths(images, ids))


@torch.no_grad()
def hash_paths(encoder: nn.Module, paths: Tensor) -> Tensor:
    """Hash what a defence made of images, float ``(n_paths, B, 3, H, W)``, to codes int8 ``(B, K)`` on the CPU."""
    return vote(encoder.eval(), paths).cpu()
