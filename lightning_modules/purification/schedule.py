"""The noise schedule in float64: forward diffusion, posterior, respacing.

Symbols follow Ho et al. (2020): t = 1..T in the text is the index i = t - 1 here; ``a_t = 1 - beta_t``,
``A_t = prod a``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Variance = Literal["fixed_small", "fixed_large", "learned"]


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
                t = 1; ``fixed_large`` is ``beta_t``. Ho et al. (2020), section 3.2, give both. What a network
                learns lies between them: see :meth:`log_variance_bounds`.

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

    def log_variance_bounds(self) -> Tensor:
        """Logarithms of the variances between which a network chooses (Nichol & Dhariwal, 2021, eq. 15).

        Returns:
            float64 ``(S, 2)``: of the posterior variance, at t = 1 that of t = 2, and of beta.
        """
        small = self.guidance_variances("fixed_small")
        small = torch.where(small > 0, small, self.betas)  # a chain of one step has no posterior variance
        return torch.stack([small.log(), self.betas.log()], dim=1)

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
        return self._keep([round(i * stride) for i in range(steps)])

    def first(self, steps: int) -> DiffusionSchedule:
        """Return the chain of the steps ``t = 1..steps``, unchanged."""
        return DiffusionSchedule(self.betas[:steps], self.timesteps[:steps])

    def at(self, steps: Sequence[int]) -> DiffusionSchedule:
        """Keep only these steps, and recompute their betas so that each leads to the next, the last to the image.

        Args:
            steps: t of each network call, strictly descending, within 1..S.

        Raises:
            ValueError: none, or steps in another order or outside the chain.
        """
        falling = all(one > other for one, other in pairwise(steps))
        if not steps or not falling or steps[0] > len(self) or steps[-1] < 1:
            raise ValueError(f"timesteps={list(steps)}: expected strictly descending steps t within {len(self)}..1")
        return self._keep([t - 1 for t in reversed(steps)])

    def _keep(self, indices: Sequence[int]) -> DiffusionSchedule:
        kept = torch.tensor(indices)
        alpha_bars = self.alpha_bars[kept]
        before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
        return DiffusionSchedule(1 - alpha_bars / before, self.timesteps[kept])

    def diffuse(self, x0: Tensor, index: int, noise: Tensor) -> Tensor:
        """Noise ``x0`` to step ``t = index + 1`` (eq. 3 and 9): ``sqrt(A_t) x_0 + sqrt(1 - A_t) noise``."""
        alpha_bar = float(self.alpha_bars[index])
        return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise


def trailing_steps(start: int, calls: int) -> list[int]:
    """Spread network calls evenly from t = ``start`` down, without one at t near 0, which would do nothing.

    The rule "trailing" of Lin et al. (2023, arXiv 2305.08891): ``round(start - i * start / calls)``.

    Args:
        start: T_p, the first step.
        calls: number of network calls, 1..start.

    Returns:
        ``calls`` steps t, strictly descending.

    Raises:
        ValueError: fewer than one call, or more calls than steps.
    """
    if not 1 <= calls <= start:
        raise ValueError(f"calls={calls}: expected 1..{start}, at most one call per step")
    return [round(start - i * start / calls) for i in range(calls)]
