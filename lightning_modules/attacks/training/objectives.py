"""What prototype networks minimise: one class per attack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.attacks.networks import Prototype
from lightning_modules.configurable import Configurable
from lightning_modules.hashing.losses.dpsh import dpsh_likelihood, quantisation
from lightning_modules.hashing.similarity import share_a_class


class PrototypeObjective(nn.Module, Configurable, ABC):
    """The loss of a prototype network.

    Attributes:
        product: what the trained network is, the attack's name in the exported folder.
        classifier: whether the network tells the label, too.
    """

    product: ClassVar[str]
    classifier: ClassVar[bool]

    @abstractmethod
    def forward(self, prototype: Prototype, labels: Tensor, codes: Tensor, code_labels: Tensor) -> dict[str, Tensor]:
        """Compute the weighted terms, whose sum is the loss.

        Args:
            prototype: of a batch of labels.
            labels: ``(b, C)`` in {0, 1}.
            codes: B, float ``(N, K)`` in {-1, +1}, the victim's codes of the training images.
            code_labels: ``(N, C)`` in {0, 1}, their labels.

        Returns:
            scalars by name.
        """


class ProSGANPrototype(PrototypeObjective):
    """ProS-GAN's three terms (Wang et al., CVPR 2021): similarity, quantisation, classification.

    The similarity term is DPSH's likelihood of the pairs of prototype and training code, a mean over pairs; the
    quantisation is a sum over bits, the classification a mean over classes, both means over the batch.

    Args:
        similarity: alpha_1.
        quantisation: alpha_2.
        classification: alpha_3.
    """

    product = "ProSGANPrototype"
    classifier = True

    def __init__(self, similarity: float = 1.0, quantisation: float = 1e-4, classification: float = 1.0) -> None:
        super().__init__()
        self.weights = (similarity, quantisation, classification)

    def forward(self, prototype: Prototype, labels: Tensor, codes: Tensor, code_labels: Tensor) -> dict[str, Tensor]:
        """See :meth:`PrototypeObjective.forward`."""
        if prototype.label is None:
            raise ValueError("ProS-GAN's objective needs a prototype network with classifier")
        similarity, quantised, classification = self.weights
        related = share_a_class(labels, code_labels)
        return {
            "similarity": similarity * dpsh_likelihood(prototype.code, codes, related).mean(),
            "quantisation": quantised * quantisation(prototype.code).mean(),
            "classification": classification * F.mse_loss(prototype.label, labels.to(prototype.label.dtype)),
        }


class TADCHPrototype(ProSGANPrototype):
    """TA-DCH's weights of the same three terms (Wang et al., TCSVT 2023).

    Args:
        similarity: 5.
        quantisation: 1e-3 in the authors' code, which no paper lists.
        classification: 1.
    """

    product = "TADCHPrototype"

    def __init__(self, similarity: float = 5.0, quantisation: float = 1e-3, classification: float = 1.0) -> None:
        super().__init__(similarity, quantisation, classification)


class THAPrototype(PrototypeObjective):
    r"""THA's circle-like loss of all pairs at once (Wang et al., SIGIR 2021, and the authors' code).

    .. math:: \frac1b \left[\log\sum_{ij \notin S} e^{a_n s_{ij}} + \log\sum_{ij \in S} e^{-a_p s_{ij}}\right],
              \quad s_{ij} = \tfrac1K h_i^\top B_j

    with ``a_n = max(s + 2, 0)`` and ``a_p = max(2 - s, 0)`` taken as constants, plus the quantisation. The sums run
    over the pairs of the whole batch. The authors' mask leaves out the first pairs of each row (an upper triangle
    of a matrix that is no square); here every pair counts.

    Args:
        quantisation: weight of the quantisation term.
    """

    product = "THA"
    classifier = False

    def __init__(self, quantisation: float = 1e-4) -> None:
        super().__init__()
        self.quantisation = quantisation

    def forward(self, prototype: Prototype, labels: Tensor, codes: Tensor, code_labels: Tensor) -> dict[str, Tensor]:
        """See :meth:`PrototypeObjective.forward`."""
        related = share_a_class(labels, code_labels).bool()
        similarity = prototype.code @ codes.T / codes.shape[1]
        fixed = similarity.detach()
        apart = _logsumexp((fixed + 2).clamp_min(0) * similarity, ~related)
        together = _logsumexp(-(2 - fixed).clamp_min(0) * similarity, related)
        return {
            "similarity": (apart + together) / len(labels),
            "quantisation": self.quantisation * quantisation(prototype.code).mean(),
        }


def _logsumexp(values: Tensor, chosen: Tensor) -> Tensor:
    """Return ``log sum exp`` over the chosen entries; zero, without gradient, where none is chosen."""
    if not chosen.any():
        return values.new_zeros(())
    return torch.logsumexp(values[chosen], dim=0)
