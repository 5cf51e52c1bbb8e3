"""TA-DCH's prototype network: the label and the text of a target, fused to one map of semantics."""

from __future__ import annotations

from torch import Tensor, nn

from lightning_modules.attacks.networks.prototype import HIDDEN, Prototype

SEMANTIC_CHANNELS, SEMANTIC_SIDE = 64, 16
BOTTLENECK = 16


class FusionPrototypeNet(nn.Module):
    """Label and text to semantics, code and label, by attentional feature fusion in two rounds.

    Wang et al., TCSVT 2023, in the sizes of the authors' code; names are those of its state dicts. Each modality
    becomes a map of 64 x 16 x 16; an attention map weighs the one against the other, first from their sum, then from
    the first mixture. The size does not depend on the pictures.

    Args:
        num_classes: C.
        text_dim: width D of the text features.
        num_bits: code length K.
        hidden: width of the layers that read label and text; published: 4,096, which makes 134 M parameters.
    """

    def __init__(self, num_classes: int, text_dim: int, num_bits: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.labelnet, self.textnet = _ModalityNet(num_classes, hidden), _ModalityNet(text_dim, hidden)
        self.local_att, self.global_att = _attention(), _attention(pooled=True)
        self.local_att2, self.global_att2 = _attention(), _attention(pooled=True)
        self.conv2d = nn.Sequential(*_convolution(64, 128), *_convolution(128, 256))
        self.hashing = nn.Sequential(nn.Linear(256 * 4 * 4, num_bits), nn.Tanh())
        self.classifier = nn.Sequential(nn.Linear(256 * 4 * 4, num_classes), nn.Sigmoid())

    def forward(self, label: Tensor, text: Tensor) -> Prototype:
        """Map labels ``(B, C)`` in {0, 1} and texts ``(B, D)`` to prototypes; semantics are ``(B, 64, 16, 16)``."""
        one, other = self.labelnet(label), self.textnet(text)
        both = one + other
        weight = (self.local_att(both) + self.global_att(both)).sigmoid()
        mixed = one * weight + other * (1 - weight)
        weight = (self.local_att2(mixed) + self.global_att2(mixed)).sigmoid()
        semantic = one * weight + other * (1 - weight)
        flat = self.conv2d(semantic).flatten(1)
        return Prototype(semantic, self.hashing(flat), self.classifier(flat))


class _ModalityNet(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.feature = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 16 * 32 * 32))
        wide = nn.Conv2d(32, SEMANTIC_CHANNELS, 5, padding=2)
        self.conv2d = nn.Sequential(*_convolution(16, 32), wide, nn.InstanceNorm2d(SEMANTIC_CHANNELS), nn.Tanh())

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(B, width)``, of any dtype, to ``(B, 64, 16, 16)``."""
        features = features.to(next(self.parameters()).dtype)
        return self.conv2d(self.feature(features).unflatten(1, (16, 32, 32)))


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.InstanceNorm2d(after), nn.Tanh()]


def _attention(pooled: bool = False) -> nn.Sequential:
    layers = [
        nn.Conv2d(SEMANTIC_CHANNELS, BOTTLENECK, 1),
        nn.BatchNorm2d(BOTTLENECK),
        nn.ReLU(),
        nn.Conv2d(BOTTLENECK, SEMANTIC_CHANNELS, 1),
        nn.BatchNorm2d(SEMANTIC_CHANNELS),
    ]
    return nn.Sequential(*([nn.AdaptiveAvgPool2d(1)] if pooled else []), *layers)
