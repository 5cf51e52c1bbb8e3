"""One call to a clean image that is hashed as the clean one: CleanTarget in image and in code space."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.hashing import HashEncoder
from lightning_modules.hashing.checkpoints import load_encoder
from lightning_modules.purification.objectives.base import Pair, Regression, alpha_bars_at
from lightning_modules.purification.objectives.clean_target import CleanTarget, Weighting
from lightning_modules.purification.schedule import DiffusionSchedule
from lightning_modules.types import binarize


class CodeTarget(CleanTarget):
    """CleanTarget, and the implied clean image is to have the code of the clean one.

    With u(x) in (-1, 1)^K the victim's relaxed code and x0_hat the image that the answer implies (eq. 3, inverted),

        loss = CleanTarget + code_weight (1 - cos(u(x0_hat), sign u(x)))

    Most of the squared error of a denoised image is detail that no code depends on, and what moves a code is little of
    it: a denoiser is led by the network that it protects, as Liao et al. (2018, arXiv 1712.02976) do for classifiers.
    The purifier then suits this victim best: hold one hasher back, to test what it does for others.

    Args:
        victim: checkpoint of the hasher, written by ``train.py fit``.
        code_weight: weight of the distance of codes; 0 is :class:`CleanTarget`.
        weighting: see :class:`CleanTarget`.

    Raises:
        ValueError: a negative weight, or an unknown weighting.
    """

    def __init__(self, victim: str, code_weight: float = 4.0, weighting: Weighting = "none") -> None:
        super().__init__(weighting)
        if code_weight < 0:
            raise ValueError(f"code_weight={code_weight}: expected at least 0")
        self.victim, self.code_weight = victim, code_weight
        self._encoder: HashEncoder | None = None

    def setup(self, data: Any, device: torch.device) -> None:
        """Load the victim; see :meth:`Objective.setup`."""
        self._encoder = load_encoder(self.victim, data).to(device)

    def errors(
        self, schedule: DiffusionSchedule, pair: Pair, index: Tensor, wanted: Regression, predicted: Tensor
    ) -> Tensor:
        """Add the distance of the codes; see :meth:`Objective.errors`."""
        if self._encoder is None:
            raise RuntimeError("call setup() first")
        in_pixels = super().errors(schedule, pair, index, wanted, predicted)
        alpha_bar = alpha_bars_at(schedule, index)
        implied = (wanted.x - (1 - alpha_bar).sqrt().to(predicted) * predicted) / alpha_bar.sqrt().to(predicted)
        with torch.no_grad():
            code = binarize(self._encoder((pair.clean + 1) / 2)).to(predicted)
        relaxed = self._encoder(((implied + 1) / 2).clamp(0, 1)).to(predicted)
        return in_pixels + self.code_weight * (1 - F.cosine_similarity(relaxed, code, dim=1))
