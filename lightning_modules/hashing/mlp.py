"""Fully connected layers on features: what cross-modal hashing trains on text, and on a frozen extractor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from lightning_modules.configurable import build
from lightning_modules.hashing.backbones import Backbone
from lightning_modules.hashing.encoder import BitNorm


def layers(widths: Sequence[int], batch_norm: bool, dropout: float) -> nn.Sequential:
    """Chain ``widths[0] -> widths[1] -> ...``: each a linear layer, batch norm if wanted, ReLU, dropout if any.

    Raises:
        ValueError: a width that is not positive, or a dropout outside [0, 1).
    """
    if min(widths) < 1:
        raise ValueError(f"layers of width {list(widths)}: expected positive numbers")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout}: expected a probability in [0, 1)")
    parts: list[nn.Module] = []
    for before, after in pairwise(widths):
        parts.append(nn.Linear(before, after))
        if batch_norm:
            parts.append(BitNorm(after))
        parts.append(nn.ReLU())
        if dropout:
            parts.append(nn.Dropout(dropout))
    return nn.Sequential(*parts)


class TextMLP(Backbone):
    """Text features through fully connected layers.

    The width of the features is the data set's; the module that trains the network tells it by :meth:`set_up`.

    Args:
        hidden: widths of the layers, at least one; 4,096 in DGCPN, 8,192, 4,096 and 2,048 in DADH.
        batch_norm: normalise each layer over the batch (DADH).
        dropout: after each layer (0.5 in DGCPN).
        hash_init_std: deviation of the first weights of the hashing layer behind; None is PyTorch's default.

    Raises:
        ValueError: no layer, or an impossible option.
    """

    def __init__(
        self,
        hidden: list[int],
        batch_norm: bool = False,
        dropout: float = 0.0,
        hash_init_std: float | None = None,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("hidden=[]: expected at least one layer")
        self._hidden, self._batch_norm, self._dropout = list(hidden), batch_norm, dropout
        self.num_features, self.hash_init_std = hidden[-1], hash_init_std
        layers([1, *hidden], batch_norm, dropout)  # refuses impossible options now

    @property
    def input_width(self) -> int | None:
        """Width of the text features; None before :meth:`set_up`."""
        body = getattr(self, "body", None)
        return None if body is None else int(body[0].in_features)

    def set_up(self, width: int) -> None:
        """Make the layers for text features of this width; layers that are there stay.

        Raises:
            ValueError: there are layers for another width.
        """
        known = getattr(self, "body", None)
        if known is not None and known[0].in_features != width:
            raise ValueError(f"text features are {width} wide, the network takes {known[0].in_features}")
        self.body = known or layers([width, *self._hidden], self._batch_norm, self._dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map text features float ``(B, width)`` to ``(B, hidden[-1])``."""
        return self.body(inputs)


class FrozenBackbone(Backbone):
    """A pretrained extractor that is not trained, and layers that are.

    A training loop need not run the extractor more than once for a picture: ``head`` takes its features.

    Args:
        extractor: the network below, or its spec; stays in eval mode without gradients of its weights.
        hidden: widths of the layers on its features, none for the features themselves.
        batch_norm: normalise each layer over the batch (DADH).
        dropout: after each layer (0.5 in DGCPN).
        cache_features: keep the features of a data set and train on them; False runs the extractor in every step,
            which augmentation needs.

    Raises:
        ValueError: an impossible option.
    """

    def __init__(
        self,
        extractor: Backbone,
        hidden: list[int],
        batch_norm: bool = False,
        dropout: float = 0.0,
        cache_features: bool = True,
    ) -> None:
        super().__init__()
        self.extractor: Backbone = build(extractor, Backbone)  # type: ignore[type-abstract]
        self.extractor.requires_grad_(False).eval()
        self.head = layers([self.extractor.num_features, *hidden], batch_norm, dropout)
        self.num_features = [self.extractor.num_features, *hidden][-1]
        self.cache_features = cache_features

    @property
    def architecture(self) -> dict[str, Any]:
        """The spec without pretrained weights; see :attr:`Backbone.architecture`."""
        return self.spec | {"init_args": self.spec["init_args"] | {"extractor": self.extractor.architecture}}

    def train(self, mode: bool = True) -> FrozenBackbone:
        """Set the mode of the layers; the extractor stays in eval mode."""
        super().train(mode)
        self.extractor.eval()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images float ``(B, 3, H, W)`` in [0, 1] to ``(B, num_features)``."""
        return self.head(self.extractor(inputs))
