"""PrototypeNet: from a target label to the code that stands for it (ProS-GAN, THA)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

HIDDEN, SEMANTIC = 4096, 512


class Prototype(NamedTuple):
    """What a prototype network makes of a label.

    Attributes:
        semantic: r_t, float ``(B, 512)``, what the generator is conditioned on.
        code: h_t, float ``(B, K)`` in (-1, 1).
        label: the label told from r_t, float ``(B, C)`` in (0, 1), or None without classifier.
    """

    semantic: Tensor
    code: Tensor
    label: Tensor | None


class PrototypeNet(nn.Module):
    """Target label to semantic representation, prototype code and label (Wang et al., CVPR 2021).

    ``C -> 4096 -> 512 = r_t``, then one linear head for the code and one for the label, as in the authors' code;
    RetPur's text counts one layer more.

    Args:
        num_classes: C.
        num_bits: code length K.
        classifier: with the head for the label; THA's network has none.
    """

    def __init__(self, num_classes: int, num_bits: int, classifier: bool = True) -> None:
        super().__init__()
        self.num_classes, self.num_bits = num_classes, num_bits
        self.feature = nn.Sequential(nn.Linear(num_classes, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, SEMANTIC))
        self.hashing = nn.Sequential(nn.Linear(SEMANTIC, num_bits), nn.Tanh())
        self.classifier = nn.Sequential(nn.Linear(SEMANTIC, num_classes), nn.Sigmoid()) if classifier else None

    def forward(self, label: Tensor) -> Prototype:
        """Map labels ``(B, C)`` in {0, 1}, of any dtype, to prototypes."""
        semantic = self.feature(label.to(next(self.parameters()).dtype))
        told = None if self.classifier is None else self.classifier(semantic)
        return Prototype(semantic, self.hashing(semantic), told)
