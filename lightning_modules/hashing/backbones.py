"""Image backbones: any timm model by name; pixels in [0, 1] go in, the normalisation is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lightning_modules.configurable import Configurable

Normalize = Literal["none", "imagenet", "model"]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone(nn.Module, Configurable, ABC):
    """Maps one modality to features.

    Attributes:
        num_features: width D of the features.
        hash_init_std: deviation of the first weights of a hashing layer behind it; None is PyTorch's default.
    """

    num_features: int
    hash_init_std: float | None = None

    @property
    def architecture(self) -> dict[str, Any]:
        """The spec without pretrained weights: what a checkpoint stores, as it brings weights of its own."""
        return self.spec

    @property
    def input_width(self) -> int | None:
        """Width of the inputs, of a backbone that is told it by ``set_up``; None for others."""
        return None

    def set_up(self, width: int) -> None:
        """Make the layers for inputs of this width, in a backbone that needs it."""
        del width

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs, for images float ``(B, 3, H, W)`` in [0, 1], to features ``(B, D)``."""


class TimmBackbone(Backbone):
    """A timm model without its classifier.

    With ``name="vgg11"`` and ``drop_rate=0.5`` this is the VGG-11 of the paper (Appendix E): ``features``,
    then two 4096-wide fully connected layers with ReLU and dropout.

    Args:
        name: timm model name.
        pretrained: load the Hub weights that timm knows for ``name``.
        weights: local safetensors file in timm's layout, instead of the Hub: a timm download, or the product
            of :class:`~lightning_modules.hashing.pretraining.BackbonePretraining`.
        drop_rate: dropout of the classifier head (0.5 in VGG-11).
        normalize: ``none`` feeds raw [0, 1] pixels, as the ProS-GAN repository does and therefore the paper;
            ``imagenet`` subtracts the usual mean and divides by the deviation; ``model`` uses the figures of
            the pretrained weights.
        small_input: replace a ResNet stem (7x7 stride 2, max pooling) by one 3x3 convolution, for pictures of
            about 32 px.
        input_size: resize the pictures to this many pixels a side (bilinear) before they enter the network: 32 px
            pictures for a network pretrained on larger ones. Part of the network, so attacks see through it.
        model_args: further arguments of ``timm.create_model``, e.g. ``layers`` and ``channels`` of a ResNet.

    Raises:
        ValueError: unknown model, missing weights, a stem that ``small_input`` cannot replace, or no pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str = "vgg11",
        pretrained: bool = False,
        weights: str | None = None,
        drop_rate: float = 0.0,
        normalize: Normalize = "none",
        small_input: bool = False,
        input_size: int | None = None,
        model_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        args: dict[str, Any] = {"num_classes": 0, "drop_rate": drop_rate, "pretrained": pretrained}
        try:
            self.body = timm.create_model(name, **args | (model_args or {}))
        except RuntimeError as error:
            raise ValueError(f"backbone {name!r} cannot be made: {error}") from error
        if input_size is not None and input_size < 1:
            raise ValueError(f"input_size={input_size}: expected at least 1")
        if small_input:
            _use_small_stem(self.body, name)
        if weights is not None:
            _load_weights(self.body, name, weights)
        self.input_size = input_size
        body: Any = self.body
        self.num_features = int(body.head_hidden_size)
        mean, std = _normalisation(normalize, self.body)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    @property
    def architecture(self) -> dict[str, Any]:
        """The spec without pretrained weights; see :attr:`Backbone.architecture`."""
        blank = {"pretrained": False, "weights": None}
        init_args = {name: blank.get(name, value) for name, value in self.spec["init_args"].items()}
        return self.spec | {"init_args": init_args}

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images float ``(B, 3, H, W)`` in [0, 1] to features ``(B, D)``."""
        inputs = (inputs - self.mean) / self.std
        if self.input_size is not None:
            size = (self.input_size, self.input_size)
            inputs = F.interpolate(inputs, size, mode="bilinear", align_corners=False, antialias=True)
        return self.body(inputs)


def _normalisation(normalize: Normalize, body: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    match normalize:
        case "none":
            return (0.0,) * 3, (1.0,) * 3
        case "imagenet":
            return IMAGENET_MEAN, IMAGENET_STD
        case "model":
            config: Any = body.pretrained_cfg
            return tuple(config["mean"]), tuple(config["std"])
        case _:
            raise ValueError(f"normalize={normalize!r}: expected 'none', 'imagenet' or 'model'")


def _load_weights(body: Any, name: str, path: str) -> None:
    """Load a safetensors file; only the classifier, which the body lacks, may be left over."""
    if not Path(path).is_file():
        raise ValueError(f"weights={path!r}: no such file; expected a safetensors file of timm's {name}")
    try:
        missing, left_over = body.load_state_dict(load_file(path), strict=False)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"weights={path!r} do not fit {name!r}: {error}") from error
    classifier = body.pretrained_cfg.get("classifier") or ()
    prefixes = tuple(f"{part}." for part in ([classifier] if isinstance(classifier, str) else classifier))
    left_over = [key for key in left_over if not key.startswith(prefixes)]
    if missing or left_over:
        raise ValueError(f"weights={path!r} do not fit {name!r}: missing {missing[:3]}, unknown {left_over[:3]}")


def _use_small_stem(body: Any, name: str) -> None:
    if not isinstance(getattr(body, "conv1", None), nn.Conv2d) or not hasattr(body, "maxpool"):
        raise ValueError(f"small_input=True needs a ResNet stem (conv1, maxpool); {name!r} has none")
    body.conv1 = nn.Conv2d(body.conv1.in_channels, body.conv1.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
    body.maxpool = nn.Identity()
