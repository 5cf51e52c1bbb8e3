"""HashEncoder: backbone, hashing layer, tanh. This is what is trained, attacked and defended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lightning_modules.configurable import build
from lightning_modules.errors import in_one_line
from lightning_modules.hashing.backbones import Backbone
from lightning_modules.hub import HubModel
from lightning_modules.types import as_float

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class HashEncoder(nn.Module, HubModel):
    """A backbone with a hashing layer: ``tanh(alpha * (W f + b))``.

    The sign of a code does not depend on ``alpha > 0``; attacks lower it to keep gradients alive. A hashing loss
    trains on :meth:`logits`, which it relaxes in its own way.

    Args:
        backbone: maps inputs to features; it normalises by itself.
        num_bits: code length K.
        batch_norm: normalise the bits over the batch before the tanh. The paper's pretrained VGG-11 needs none
            (False); a backbone trained from scratch does: without it, pairwise losses shrink all codes to the
            saddle at zero, since features share a large common component.

    Raises:
        ValueError: ``num_bits`` is not positive.
    """

    def __init__(self, backbone: Backbone, num_bits: int, batch_norm: bool = False) -> None:
        super().__init__()
        if num_bits < 1:
            raise ValueError(f"num_bits={num_bits}: expected at least 1")
        self.backbone = backbone
        self.hash_layer = nn.Linear(backbone.num_features, num_bits)
        if backbone.hash_init_std is not None:
            nn.init.normal_(self.hash_layer.weight, std=backbone.hash_init_std)
        self.norm = BitNorm(num_bits) if batch_norm else nn.Identity()
        self.num_bits = num_bits

    def forward(self, inputs: Tensor, alpha: float = 1.0) -> Tensor:
        """Encode a batch.

        Args:
            inputs: for images float ``(B, 3, H, W)`` in [0, 1] or uint8, for texts features ``(B, d)``.
            alpha: slope of the tanh.

        Returns:
            codes float ``(B, K)`` in (-1, 1).
        """
        return torch.tanh(alpha * self.logits(inputs))

    def logits(self, inputs: Tensor) -> Tensor:
        """Compute float32 ``(B, K)`` codes before the tanh: what a loss relaxes in its own way."""
        return self.logits_of(self.backbone(as_float(inputs)))

    def logits_of(self, features: Tensor) -> Tensor:
        """Compute what :meth:`logits` does from features ``(B, D)`` of the backbone."""
        return self.norm(self.hash_layer(features).float())

    def card_facts(self) -> dict[str, Any]:
        """Return bits and backbone; see :meth:`HubModel.card_facts`."""
        spec = self.backbone.architecture
        name = spec["init_args"].get("name", spec["class_path"].rpartition(".")[2])
        return {"kind": "hashing network", "bits": self.num_bits, "backbone": name}

    def _save_pretrained(self, save_directory: Path) -> None:
        config = {
            "format": 1,
            "backbone": self.backbone.architecture,
            "num_bits": self.num_bits,
            "batch_norm": isinstance(self.norm, BitNorm),
            "input_width": self.backbone.input_width,
        }
        (save_directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(state, save_directory / WEIGHTS)

    @classmethod
    def load_pretrained(cls, folder: Path, **options: Any) -> Self:
        """Read an encoder, frozen and in eval mode; see :meth:`HubModel.load_pretrained`."""
        try:
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            backbone = build(config["backbone"], Backbone)  # type: ignore[type-abstract]
            if config["input_width"] is not None:
                backbone.set_up(config["input_width"])
            encoder = cls(backbone, config["num_bits"], config["batch_norm"], **options)
            encoder.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"{folder}: {CONFIG} and {WEIGHTS} of a hashing network are expected, as save_pretrained writes them "
                f"({in_one_line(error)})"
            ) from error
        for name, tensor in encoder.state_dict().items():
            if not tensor.isfinite().all():
                raise ValueError(f"{folder / WEIGHTS}: weight {name!r} holds NaN or infinite values")
        return encoder.eval().requires_grad_(False)


class BitNorm(nn.BatchNorm1d):
    """Batch normalisation that also trains on one item, the rest of an epoch: by the running statistics."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise bits ``(B, K)`` over the batch."""
        if self.training and len(input) == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)
