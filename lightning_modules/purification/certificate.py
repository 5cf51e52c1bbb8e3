"""What a purifier without guidance proves: bits of a code that no small change of the query flips.

Randomised smoothing (Cohen et al., 2019, arXiv 1902.02918) with a denoiser in front (Carlini et al., 2022, arXiv
2206.10550), for the K bits of a code at once. Guidance reads the query beside the noise, so s has to be 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.stats import beta, norm
from torch import Tensor

from lightning_modules.purification.purifier import DiffusionPurifier
from lightning_modules.types import binarize


@dataclass(frozen=True)
class Certificate:
    """Codes by majority over the noise, and how far each bit is proven to hold.

    With probability 1 - alpha per query, taken over the draws, every bit of the ideal majority holds for all changes of
    the query of a smaller L2 norm than its radius. Codes of a few draws err beside that as any estimate does.

    Attributes:
        codes: int8 ``(B, K)`` in {-1, +1}; :func:`certify` leaves them on the CPU.
        radii: float64 ``(B, K)``, L2 norms of images in [0, 1]; 0 where nothing is proven.
    """

    codes: Tensor
    radii: Tensor

    def holds(self, radius: float) -> Tensor:
        """Return which bits no change below ``radius`` flips, bool ``(B, K)``.

        A code then moves by at most as many bits as are left, and so does the distance to any item.
        """
        return self.radii >= radius

    def stays_nearer(self, radius: float, nearer: Tensor, farther: Tensor) -> Tensor:
        """Return whether one item stays nearer than another, whatever a change below ``radius`` does.

        At worst every bit that may flip speaks for ``farther`` where the items differ; where they agree none matters:

            D_C(nearer) - D_C(farther) + #{k not in C: nearer_k != farther_k} < 0

        with D_C the disagreements on the bits C that hold. Exact for the set C, not only sufficient.

        Args:
            radius: L2 norm of the change, images in [0, 1].
            nearer: code ``(K,)`` or codes ``(B, K)`` in {-1, +1}, on any device.
            farther: the same of the other item.

        Returns:
            bool ``(B,)``, where the certificate's codes are.
        """
        nearer, farther = nearer.to(self.codes.device), farther.to(self.codes.device)
        holds = self.holds(radius)
        lead = ((farther != self.codes) & holds).sum(dim=1) - ((nearer != self.codes) & holds).sum(dim=1)
        return lead > ((nearer != farther) & ~holds).sum(dim=1)


def certify(codes_of_draw: Callable[[int], Tensor], draws: int, noise: float, alpha: float = 0.001) -> Certificate:
    """Certify codes by their votes under Gaussian noise.

    Bit k with the share p_k of its majority, a one-sided Clopper-Pearson bound of level ``alpha / (2 K)`` (bits share
    their noise, and the side is chosen on the same draws), holds within ``noise * quantile(p_k)``.

    Args:
        codes_of_draw: draw number -> codes ``(B, K)`` in [-1, 1] of the queries with that draw's noise, for instance
            ``lambda draw: hasher(purifier(images, ids=ids, draw=draw))``.
        draws: repetitions of each query.
        noise: standard deviation of the noise, images in [0, 1]; of a purifier: :func:`smoothing_noise`.
        alpha: chance that a certificate is wrong, per query.

    Raises:
        ValueError: no draw, no noise, or alpha outside (0, 1).
    """
    if draws < 1 or not noise > 0 or not 0 < alpha < 1:
        raise ValueError(f"draws={draws}, noise={noise}, alpha={alpha}: expected draws >= 1, noise > 0, 0 < alpha < 1")
    votes = binarize(codes_of_draw(0)).to(torch.int64)
    for draw in range(1, draws):
        votes += binarize(codes_of_draw(draw)).to(torch.int64)
    majority = (draws + votes.abs()) // 2
    bits = votes.shape[1]
    share = beta.ppf(alpha / (2 * bits), majority.cpu().numpy(), (draws - majority).cpu().numpy() + 1)
    radii = torch.from_numpy(noise * norm.ppf(share)).clamp_min(0)
    return Certificate(binarize(votes).cpu(), radii)


def smoothing_noise(purifier: DiffusionPurifier) -> float:
    """Return the noise that a purifier adds to a query, as a standard deviation for images in [0, 1].

    x_t = sqrt(A_t) (2 x - 1) + sqrt(1 - A_t) e is 2 x - 1 under noise of deviation sqrt((1 - A_t) / A_t), scaled.

    Raises:
        ValueError: the purifier is guided, or touches the query before it is noised: nothing could be proven.
    """
    options = purifier.options
    if options.scale > 0 if options.pull is None else options.pull > 0:
        raise ValueError("a guided purifier reads the query beside the noise and certifies nothing; take scale=0")
    if options.overnoise or purifier.sizing != "native":
        raise ValueError(
            f"overnoise={options.overnoise}, sizing={purifier.sizing!r}: expected 0 and 'native', "
            "so that the query meets the noise as it is"
        )
    alpha_bar = float(purifier.schedule.alpha_bars[purifier.calls - 1])
    return 0.5 * ((1 - alpha_bar) / alpha_bar) ** 0.5
