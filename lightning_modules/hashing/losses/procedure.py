"""TrainingProcedure: methods that take several optimiser steps per batch, of different networks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.losses.base import HashingLoss
from lightning_modules.types import Batch

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


@dataclass(frozen=True)
class Step:
    """One optimiser step.

    Attributes:
        loss: scalar to minimise.
        optimizers: names of the optimisers that step.
        clip: largest norm of their parameters' gradients; None does not clip.
        name: under which the loss is logged, ``train/<name>``.
    """

    loss: Tensor
    optimizers: Sequence[str]
    clip: float | None = None
    name: str = "loss"


class Forward:
    """The encoders on one batch; every call is a new forward pass, with new dropout masks.

    Args:
        encoders: by modality.
        features: maps a modality to a function that gives its backbone's features of the batch.
        precision: context of the encoders' passes, e.g. mixed precision; losses stand outside it.
    """

    def __init__(
        self,
        encoders: Mapping[str, HashEncoder],
        features: Callable[[str], Tensor],
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.encoders, self._features, self._precision = encoders, features, precision

    def features(self, modality: str) -> Tensor:
        """Return the backbone's features of the batch, ``(B, D)``."""
        with self._precision():
            return self._features(modality).float()

    def code(self, modality: str, features: Tensor) -> Tensor:
        """Hash features ``(B, D)`` to codes ``(B, K)`` in (-1, 1)."""
        with self._precision():
            return torch.tanh(self.encoders[modality].logits_of(features))

    def codes(self) -> dict[str, Tensor]:
        """Return the codes of the batch, of all modalities."""
        return {name: self.code(name, self.features(name)) for name in self.encoders}


class TrainingProcedure(HashingLoss):
    """A method that says itself which networks step, in which order.

    It is a loss as well: :meth:`forward` is the method's joint loss. A procedure cannot be combined with the trainer's
    ``gradient_clip_val`` and ``accumulate_grad_batches``; its steps clip by themselves.
    """

    @abstractmethod
    def optimizers(self, encoders: Mapping[str, HashEncoder], make: MakeOptimizer) -> dict[str, Optimizer]:
        """Make the optimisers by name.

        Args:
            encoders: by modality.
            make: the optimiser of the configuration, for the encoders.
        """

    @abstractmethod
    def steps(self, forward: Forward, batch: Batch) -> Iterator[Step]:
        """Yield the steps of one batch in order; each is taken before the next is asked for."""
