"""Training that pulls adversarial codes back to the code that stands for their labels (CgAT, SAAT)."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from lightning_modules.adversarial_training.inner import PGDTraining, no_autocast
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.types import Batch


class CentreTraining(PGDTraining):
    """``min_theta max_delta -mean_k u_k(x + delta) c_k``, c the centre of the picture's own labels.

    The attack leaves the centre that the latest codes of all items give; the network is then pulled to the centre
    that includes the codes of this step.
    """

    quantisation: float = 0.0

    @abstractmethod
    def centre(self, labels: Tensor) -> Tensor:
        """Vote for the centre of each label vector by the codes in memory.

        Args:
            labels: uint8 ``(B, C)``.

        Returns:
            ``(B, K)`` in {-1, +1}.
        """

    def forward(self, encoder: HashEncoder, batch: Batch, codes: Tensor) -> Tensor:
        """See :meth:`AdversarialTraining.forward`."""
        with no_autocast(codes):
            away = -self.centre(batch.label)
        adversarial = self.adversarial_codes(encoder, batch, away)
        with no_autocast(codes):
            self.memory.write(batch.index, codes)
            return centre_loss(adversarial, self.centre(batch.label), self.weight, self.quantisation)


def centre_loss(codes: Tensor, centre: Tensor, weight: float, quantisation: float) -> Tensor:
    """Compute ``-weight mean_k u_k c_k + quantisation mean_k (u_k - sign u_k)^2``.

    Args:
        codes: u, float ``(B, K)`` in (-1, 1), of adversarial pictures.
        centre: c, ``(B, K)`` in {-1, +1}.
        weight: of the pull.
        quantisation: of the distance to binary codes; no gradient through the sign.

    Returns:
        float ``(B,)``.
    """
    pull = -(codes * centre.to(codes)).mean(dim=1)
    return weight * pull + quantisation * (codes.abs() - 1).square().mean(dim=1)
