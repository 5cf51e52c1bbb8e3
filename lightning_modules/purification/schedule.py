"""The noise schedule in float64: forward diffusion, posterior, respacing.

Symbols follow Ho et al. (2020): t = 1..T in the text is the index i = t - 1 here; ``a_t = 1 - beta_t``,
``A_t = prod a``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Variance = Literal["fixed_small", "fixed_large"]


@dataclass(frozen=True)
class DiffusionSchedule:
    """A (possibly respaced) chain of S steps.

    Attributes:
        betas: float64 ``(S,)`` in (0, 1).
        timesteps: int64 ``(S,)``, the index in the original chain that the network is told.
    """

    betas: Tensor
    timesteps: Tensor

    @classmethod
    def linear(cls, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> DiffusionSchedule:
        """The linear schedule of Ho et al. (2020), section 4."""
        return cls(torch.linspace(first, last, steps, dtype=torch.float64), torch.arange(steps))

    def __len__(self) -> int:
        return len(self.betas)

    @property
    def alpha_bars(self) -> Tensor:
        """``A_t``, float64 ``(S,)``."""
        return torch.cumprod(1 - self.betas, dim=0)

    @property
    def previous_alpha_bars(self) -> Tensor:
        """``A_{t-1}`` with ``A_0 = 1``, float64 ``(S,)``."""
        return torch.cat([torch.ones(1, dtype=torch.float64), self.alpha_bars[:-1]])

    def variances(self, kind: Variance) -> Tensor:
        """Reverse variances ``sigma_t^2``, float64 ``(S,)``.

        Args:
            kind: ``fixed_small`` is the posterior variance ``(1 - A_{t-1}) / (1 - A_t) * beta_t``, zero at
                t = 1; ``fixed_large`` is ``beta_t``. Ho et al. (2020), section 3.2, give both.

        Raises:
            ValueError: unknown kind.
        """
        match kind:
            case "fixed_small":
                return (1 - self.previous_alpha_bars) / (1 - self.alpha_bars) * self.betas
            case "fixed_large":
                return self.betas
            case _:
                raise ValueError(f"variance={kind!r}: expected 'fixed_small' or 'fixed_large'")

    def guidance_variances(self, kind: Variance) -> Tensor:
        """``sigma_t^2`` as the factor of the guidance: at t = 1 that of t = 2, where fixed_small would be 0."""
        variances = self.variances(kind).clone()
        if kind == "fixed_small" and len(variances) > 1:
            variances[0] = variances[1]
        return variances

    def posterior_weights(self) -> tuple[Tensor, Tensor]:
        """Weights of ``x_0`` and ``x_t`` in the posterior mean (Ho et al., eq. 7), float64 ``(S,)`` each."""
        before, after = self.previous_alpha_bars, self.alpha_bars
        of_x0 = before.sqrt() * self.betas / (1 - after)
        of_xt = (1 - self.betas).sqrt() * (1 - before) / (1 - after)
        return of_x0, of_xt

    def respace(self, steps: int) -> DiffusionSchedule:
        """Keep ``steps`` evenly spread steps of the chain and recompute their betas.

        The rule of OpenAI's guided-diffusion: the kept indices are ``round(i * (S - 1) / (steps - 1))``.
        GDMP's ImageNet setting keeps 250 of 1000; its 45 steps then start at t = 178, not t = 45.

        Raises:
            ValueError: more steps than the chain has, or fewer than 2.
        """
        if not 2 <= steps <= len(self):
            raise ValueError(f"respacing={steps}: expected 2..{len(self)}")
        stride = (len(self) - 1) / (steps - 1)
        kept = torch.tensor([round(i * stride) for i in range(steps)])
        alpha_bars = self.alpha_bars[kept]
        before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
        return DiffusionSchedule(1 - alpha_bars / before, self.timesteps[kept])

    def diffuse(self, x0: Tensor, index: int, noise: Tensor) -> Tensor:
        """Noise ``x0`` to step ``t = index + 1`` (eq. 3 and 9): ``sqrt(A_t) x_0 + sqrt(1 - A_t) noise``."""
        alpha_bar = float(self.alpha_bars[index])
        return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise
