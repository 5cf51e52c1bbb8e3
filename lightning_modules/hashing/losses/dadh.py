"""DADH: deep adversarial discrete hashing (Bai et al., ICMR 2020), supervised; terms as in its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.losses.base import TrainingFacts
from lightning_modules.hashing.losses.discriminators import (
    Discriminator,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from lightning_modules.hashing.losses.procedure import Forward, MakeOptimizer, Step, TrainingProcedure
from lightning_modules.hashing.losses.triplets import SLACK, triplet_losses
from lightning_modules.hashing.memory import CodeMemory
from lightning_modules.types import Batch, binarize

PENALTY = 10.0
HIDDEN_FEATURES, HIDDEN_CODES = (1024, 512), (512,)


class DADH(TrainingProcedure):
    r"""Weighted triplets, quantisation to discrete codes B, and two discriminators that tell image from text.

    .. math:: \alpha (T_{i \to t} + T_{t \to i}) + 1.1 \sum_i (\|B_i - h_i\|^2 + \|B_i - h'_i\|^2)
              + \gamma (A_{feature} + A_{code})

    with the triplet sums T of :func:`~lightning_modules.hashing.losses.triplets.triplet_losses` and the adversarial
    terms A of the text network. A batch takes three steps: the discriminator of features, that of codes, the encoders.
    The text codes of A come from a second pass whose features are detached, so that A trains the text's hashing layer
    only. After every epoch ``B = sign(L P + 0.5 mu (H_i + H_t))`` with ``P = (L^T L + lamb I)^{-1} L^T B``, L the
    labels, H the latest codes.

    The published form fails on data with unlabelled images (MS-COCO): their ideal DCG is zero and every gradient NaN.
    ``legacy`` keeps it. The default differs where that is singular only: such anchors weigh nothing, logarithms of
    sigmoids are softplus, the norm of a gradient is smooth at zero, B is solved for; and gradients are clipped.

    Args:
        alpha: weight of the triplets, 10.
        gamma: weight of the adversarial terms.
        margin: of the triplets.
        weighted: weigh triplets by shared classes.
        mu: weight of the networks' codes in B.
        lamb: ridge of the regression of B on labels.
        legacy: the published, unstable form.
        clip: largest norm of the encoders' gradients; None does not clip, nor does ``legacy``.
        discriminator_lr: of Adam with betas (0.5, 0.9) and weight decay 1e-4.
    """

    image_memory: CodeMemory
    text_memory: CodeMemory
    codes: Tensor

    def __init__(
        self,
        alpha: float = 10.0,
        gamma: float = 1.0,
        margin: float = 0.4,
        weighted: bool = True,
        mu: float = 1e-5,
        lamb: float = 1.0,
        legacy: bool = False,
        clip: float | None = 5.0,
        discriminator_lr: float = 5e-5,
    ) -> None:
        super().__init__()
        self.alpha, self.gamma, self.margin, self.weighted = alpha, gamma, margin, weighted
        self.mu, self.lamb, self.stable = mu, lamb, not legacy
        self.clip = None if legacy else clip
        self.discriminator_lr = discriminator_lr

    def setup(self, facts: TrainingFacts) -> None:
        """Create memories, random B and discriminators.

        Raises:
            ValueError: features of image and text differ in width.
        """
        widths = set(facts.widths.values())
        if set(facts.widths) != {"image", "text"} or len(widths) != 1:
            raise ValueError(f"DADH needs image and text features of one width, got {dict(facts.widths)}")
        self.image_memory = CodeMemory(facts.labels, facts.num_bits)
        self.text_memory = CodeMemory(facts.labels, facts.num_bits)
        self.register_buffer("codes", binarize(torch.randn(len(facts.labels), facts.num_bits)).float())
        self.feature_discriminator = Discriminator([*widths, *HIDDEN_FEATURES])
        self.code_discriminator = Discriminator([facts.num_bits, *HIDDEN_CODES])

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Update B."""
        labels = self.image_memory.labels.to(self.codes)
        square = labels.T @ labels + self.lamb * torch.eye(labels.shape[1]).to(labels)
        right = labels.T @ self.codes
        regression = torch.linalg.solve(square, right) if self.stable else torch.inverse(square) @ right
        memories = self.image_memory.codes + self.text_memory.codes
        self.codes.copy_(binarize(labels @ regression + 0.5 * self.mu * memories))

    def forward(self, codes: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return triplets and quantisation of every sample ``(B,)``; a step minimises their sum, not their mean."""
        image, text = codes["image"].float(), codes["text"].float()
        values = torch.zeros(len(batch), device=image.device)
        for own, other in ((image, text), (text, image)):
            triplets = triplet_losses(own, other, batch.label, self.margin, self.weighted, self.stable)
            quantisation = (self.codes[batch.index] - own).square().sum(dim=1)
            values = values + self.alpha * triplets + SLACK * quantisation
        return values

    def optimizers(self, encoders: Mapping[str, HashEncoder], make: MakeOptimizer) -> dict[str, Optimizer]:
        """See :meth:`TrainingProcedure.optimizers`."""
        options: Any = {"lr": self.discriminator_lr, "betas": (0.5, 0.9), "weight_decay": 1e-4}
        return {
            "feature": Adam(self.feature_discriminator.parameters(), **options),
            "code": Adam(self.code_discriminator.parameters(), **options),
            "encoders": make([p for encoder in encoders.values() for p in encoder.parameters()]),
        }

    def steps(self, forward: Forward, batch: Batch) -> Iterator[Step]:
        """See :meth:`TrainingProcedure.steps`."""
        features = {name: forward.features(name) for name in ("image", "text")}
        codes = {name: forward.code(name, found) for name, found in features.items()}
        self.image_memory.write(batch.index, codes["image"])
        self.text_memory.write(batch.index, codes["text"])
        for name, network, found in (
            ("feature", self.feature_discriminator, features),
            ("code", self.code_discriminator, codes),
        ):
            yield Step(self._discriminate(network, found), (name,), name=f"{name}_discriminator")
        with torch.no_grad():
            again = forward.features("text")
        fooled = generator_loss(self.feature_discriminator, features["text"], self.stable)
        fooled = fooled + generator_loss(self.code_discriminator, forward.code("text", again), self.stable)
        yield Step(self(codes, batch).sum() + self.gamma * fooled, ("encoders",), self.clip)

    def _discriminate(self, network: Discriminator, found: Mapping[str, Tensor]) -> Tensor:
        real, fake = found["image"].detach(), found["text"].detach()
        penalty = gradient_penalty(network, real, fake, torch.rand_like(real), self.stable)
        return self.gamma * discriminator_loss(network, real, fake, self.stable) + PENALTY * penalty
