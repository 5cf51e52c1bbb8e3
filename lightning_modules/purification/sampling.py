"""The guided reverse chain (paper, eq. 6 and Algorithm 2), as functions with injected noise.

The printed equations hold misprints; what is computed here is eq. 6 with the posterior of Ho et al. (2020):

    x0_hat = (x_t - sqrt(1 - A_t) eps) / sqrt(A_t), clipped to [-1, 1]
    mean   = posterior mean of x_{t-1} given x0_hat and x_t
    x_{t-1} = mean - s sigma_t^2 grad D(x_t, x_adv^t) + sigma_t z,   z = 0 at t = 1

``GuidanceOptions.form = "literal"`` keeps the printed eq. 15 and 16, whose guidance is multiplied by the
predicted noise instead of sigma_t^2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lightning_modules.purification.guidance import Metric, distance_gradient
from lightning_modules.purification.schedule import DiffusionSchedule, Variance

EpsilonModel = Callable[[Tensor, Tensor], Tensor]
NoiseSource = Callable[[Tensor], Tensor]
Observer = Callable[[int, Tensor], None]

GuidanceForm = Literal["posterior", "literal"]
TargetNoise = Literal["fresh", "shared", "none"]
Reduction = Literal["image_mean", "image_sum", "batch_mean"]


@dataclass(frozen=True)
class GuidanceOptions:
    """How a reverse step is guided; the defaults are the paper's.

    Attributes:
        scale: s of eq. 6; 0 is a plain DDPM.
        metric: D: negative SSIM or mean squared error.
        form: ``posterior`` (eq. 6, 22) or ``literal`` (eq. 15, 16 and Algorithm 2 as printed).
        variance: reverse variance of Ho et al. (2020).
        target_noise: the target x_adv^t is x_adv noised to t (eq. 9) with ``fresh`` noise at every step,
            with the noise of the start (``shared``), or x_adv itself (``none``; what GDMP's ImageNet code does).
        reduction: ``image_mean`` takes D per image; ``image_sum`` sums over pixels; ``batch_mean`` divides by
            the batch size as GDMP's code does, which makes an image depend on its batch.
        clip: clip x0_hat to [-1, 1].
    """

    scale: float = 1000.0
    metric: Metric = "ssim"
    form: GuidanceForm = "posterior"
    variance: Variance = "fixed_small"
    target_noise: TargetNoise = "fresh"
    reduction: Reduction = "image_mean"
    clip: bool = True

    def __post_init__(self) -> None:
        choices = {
            "metric": ("ssim", "mse"),
            "form": ("posterior", "literal"),
            "variance": ("fixed_small", "fixed_large"),
            "target_noise": ("fresh", "shared", "none"),
            "reduction": ("image_mean", "image_sum", "batch_mean"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}")


@dataclass(frozen=True)
class ReverseStep:
    """All numbers of one reverse step, as Python floats from float64 tables.

    Attributes:
        t: the step leads from ``x_t`` to ``x_{t-1}``.
        timestep: what the network is told.
        alpha_bar: ``A_t``.
        weight_x0: weight of x0_hat in the posterior mean.
        weight_xt: weight of x_t in the posterior mean.
        sigma: deviation of the step's noise; 0 at t = 1.
        guidance: factor of the gradient, ``s sigma_t^2`` of eq. 6 or ``s`` of eq. 15.
    """

    t: int
    timestep: int
    alpha_bar: float
    weight_x0: float
    weight_xt: float
    sigma: float
    guidance: float

    @classmethod
    def chain(cls, schedule: DiffusionSchedule, start: int, options: GuidanceOptions) -> list[ReverseStep]:
        """Look up the steps ``t = start, ..., 1``, in this order."""
        timesteps, alpha_bars = schedule.timesteps.tolist(), schedule.alpha_bars.tolist()
        of_x0, of_xt = (weights.tolist() for weights in schedule.posterior_weights())
        variances = schedule.variances(options.variance).tolist()
        factors = schedule.guidance_variances(options.variance).tolist()
        return [
            cls(
                t=index + 1,
                timestep=timesteps[index],
                alpha_bar=alpha_bars[index],
                weight_x0=of_x0[index],
                weight_xt=of_xt[index],
                sigma=variances[index] ** 0.5 if index > 0 else 0.0,
                guidance=options.scale * (factors[index] if options.form == "posterior" else 1.0),
            )
            for index in range(start - 1, -1, -1)
        ]


def predict_x0(x: Tensor, noise: Tensor, alpha_bar: float, clip: bool) -> Tensor:
    """Invert eq. 3: the clean image that ``x`` and its predicted noise imply, in [-1, 1] if clipped."""
    x0 = (x - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5
    return x0.clamp(-1, 1) if clip else x0


def guided_step(
    epsilon: EpsilonModel, step: ReverseStep, options: GuidanceOptions, x: Tensor, target: Tensor, z: Tensor
) -> Tensor:
    """Take one guided reverse step.

    Args:
        epsilon: predicts the noise from ``(x, timesteps)``.
        step: the numbers of the step.
        options: how it is guided.
        x: x_t, float32 ``(B, 3, H, W)``.
        target: x_adv^t, same shape.
        z: standard normal noise of the step, same shape.

    Returns:
        x_{t-1}, same shape.
    """
    timesteps = torch.full((len(x),), step.timestep, dtype=torch.int64, device=x.device)
    noise = epsilon(x, timesteps)
    x0 = predict_x0(x, noise, step.alpha_bar, options.clip)
    mean = step.weight_x0 * x0 + step.weight_xt * x + step.sigma * z
    if step.guidance == 0:
        return mean
    factor = step.guidance * _reduction_factor(options.reduction, x)
    push = distance_gradient(options.metric, x, target) * factor
    return mean - (push * noise if options.form == "literal" else push)


def guided_reverse_chain(
    epsilon: EpsilonModel,
    schedule: DiffusionSchedule,
    options: GuidanceOptions,
    images: Tensor,
    start: int,
    noise: NoiseSource,
    observe: Observer | None = None,
) -> Tensor:
    """Diffuse images to step T_p and denoise them, guided by themselves (Algorithm 2).

    Noise is drawn in a fixed order (start; then per step the target's and the step's), whether it is used or
    not, so that rows of a table that differ in the guidance share their noise. Where a gradient in the images
    is asked for, every step is checkpointed: memory grows by the step's three inputs, not by its network.

    Args:
        epsilon: predicts the noise from ``(x, timesteps)``.
        schedule: the chain.
        options: guidance.
        images: x_adv, float32 ``(B, 3, H, W)`` in [-1, 1].
        start: T_p, the number of steps.
        noise: returns standard normal noise shaped like its argument.
        observe: called with ``(t, x_t)`` before every step and with ``(0, x_0)`` at the end.

    Returns:
        x_0, float32 ``(B, 3, H, W)``; about [-1, 1], not clipped.
    """
    start_noise = noise(images)
    x = schedule.diffuse(images, start - 1, start_noise)
    differentiate = torch.is_grad_enabled() and images.requires_grad
    for step in ReverseStep.chain(schedule, start, options):
        if observe is not None:
            observe(step.t, x.detach())
        fresh, z = noise(images), noise(images)
        match options.target_noise:
            case "none":
                target = images
            case "shared":
                target = schedule.diffuse(images, step.t - 1, start_noise)
            case "fresh":
                target = schedule.diffuse(images, step.t - 1, fresh)
        if differentiate:
            x = checkpoint(guided_step, epsilon, step, options, x, target, z, use_reentrant=False)
        else:
            x = guided_step(epsilon, step, options, x, target, z)
    if observe is not None:
        observe(0, x.detach())
    return x


def _reduction_factor(reduction: Reduction, x: Tensor) -> float:
    match reduction:
        case "image_mean":
            return 1.0
        case "image_sum":
            return float(x[0].numel())
        case "batch_mean":
            return 1.0 / len(x)
