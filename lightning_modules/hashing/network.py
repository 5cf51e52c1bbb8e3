"""HashingNetwork: the encoders of a hashing network, hashing and scored; how they are trained is in ``module.py``."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, cast

import torch
from lightning import LightningModule
from torch import Tensor, nn

from lightning_modules.checks import check_images
from lightning_modules.hashing.backbones import Backbone
from lightning_modules.hashing.directions import Direction, DirectionScores, check_directions
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.mlp import FrozenBackbone
from lightning_modules.types import Batch, as_float, binarize


class Role(IntEnum):
    """What the items of a validation or test loader are: its position in the list of loaders."""

    database = 0
    query = 1


class HashingNetwork(LightningModule):
    """One encoder per modality: images and texts to codes, validated and tested by MAP.

    Args:
        backbones: ``image``, and ``text`` where there is one.
        num_bits: code length K.
        batch_norm: normalise the bits over the batch.
        directions: which modality asks for which; None takes all between the encoders.

    Raises:
        ValueError: directions that need another encoder.
    """

    def __init__(
        self, backbones: dict[str, Backbone], num_bits: int, batch_norm: bool, directions: list[Direction] | None
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({name: HashEncoder(b, num_bits, batch_norm) for name, b in backbones.items()})
        self.num_bits = num_bits
        scored = check_directions(directions, backbones)
        self.metrics: Any = nn.ModuleDict({stage: DirectionScores(scored) for stage in ("val", "test")})

    def encoder(self, modality: str) -> HashEncoder:
        """Return the encoder of ``image`` or ``text``."""
        return cast(HashEncoder, self.encoders[modality])

    @property
    def image_encoder(self) -> HashEncoder:
        """The image encoder: the victim of attacks."""
        return self.encoder("image")

    @property
    def text_encoder(self) -> HashEncoder | None:
        """The text encoder, if there is one."""
        return self.encoder("text") if "text" in self.encoders else None

    def forward(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        """Encode images float ``(B, 3, H, W)`` in [0, 1] to codes ``(B, K)`` in (-1, 1)."""
        return self.image_encoder(images, alpha)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Hash images.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1], or uint8.

        Returns:
            int8 ``(B, K)`` in {-1, +1}.

        Raises:
            ValueError: images of another shape or range.
        """
        images = as_float(images)
        check_images(images)
        return self._hash("image", images)

    @torch.inference_mode()
    def encode_text(self, text: Tensor) -> Tensor:
        """Hash text features.

        Args:
            text: float ``(B, D)``.

        Returns:
            int8 ``(B, K)`` in {-1, +1}.

        Raises:
            ValueError: the module has no text encoder.
        """
        if self.text_encoder is None:
            raise ValueError("this module has no text encoder: train it with the option text")
        return self._hash("text", text)

    def _hash(self, modality: str, inputs: Tensor) -> Tensor:
        encoder, training = self.encoder(modality), self.training
        self.eval()
        codes = binarize(encoder(inputs.to(encoder.hash_layer.weight)))
        self.train(training)
        return codes

    def _features(self, batch: Batch, modality: str) -> Tensor:
        backbone = self.encoder(modality).backbone
        if modality == "text":
            return backbone(batch.text)
        if batch.features is not None:
            return cast(FrozenBackbone, backbone).head(batch.features)
        return backbone(batch.image)

    def _codes(self, batch: Batch) -> dict[str, Tensor]:
        return {name: self.encoder(name).logits_of(self._features(batch, name)) for name in self.encoders}

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Collect codes of the validation database and queries."""
        del batch_idx
        return self._collect("val", batch, Role(dataloader_idx))

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Collect codes of the database and the queries."""
        del batch_idx
        return self._collect("test", batch, Role(dataloader_idx))

    def _collect(self, stage: str, batch: Batch, role: Role) -> dict[str, Tensor]:
        codes = {name: binarize(found) for name, found in self._codes(batch).items()}
        self.metrics[stage].add(codes, batch, role.name)
        return {"codes": codes["image"]}  # for callbacks

    def on_validation_epoch_end(self) -> None:
        """Log the MAP of the validation queries."""
        self._log_map("val")

    def on_test_epoch_end(self) -> None:
        """Log the MAP of the queries."""
        self._log_map("test")

    def _log_map(self, stage: str) -> None:
        scores = self.metrics[stage]
        if len(scores) == 1:
            # Handing over the metric itself lets Lightning synchronise and reset it.
            self.log(f"{stage}/map", next(iter(scores.values())), prog_bar=True)
            return
        for direction, metric in scores.items():
            self.log(f"{stage}/map_{direction.lower()}", metric, prog_bar=True)
        chosen = [scores[direction].compute() for direction in scores.selecting]
        self.log(f"{stage}/map", torch.stack(chosen).mean(), prog_bar=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return ids and int8 codes ``(B, K)`` of a batch."""
        del batch_idx
        return {"ids": batch.ids, "codes": binarize(self(batch.image))}
