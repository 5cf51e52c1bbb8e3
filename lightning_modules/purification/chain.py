"""The guided reverse chain (paper, eq. 6 and Algorithm 2), as functions with injected noise.

The printed equations hold misprints; what is computed here is eq. 6 with the posterior of Ho et al. (2020):

    x0_hat = (x_t - sqrt(1 - A_t) eps) / sqrt(A_t), clipped to [-1, 1]
    mean   = posterior mean of x_{t-1} given x0_hat and x_t
    x_{t-1} = mean - s sigma_t^2 grad D(x_t, x_adv^t) + sigma_t z,   z = 0 at t = 1

``ChainOptions.form = "literal"`` keeps the printed eq. 15 and 16, whose guidance is multiplied by the
predicted noise instead of sigma_t^2. Other samplers are other weights in the same step; see ``samplers/``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from lightning_modules.purification.guidance import distance_gradient
from lightning_modules.purification.options import ChainOptions, Reduction
from lightning_modules.purification.samplers import ReverseStep, learned_variance, pull_per_scale, reverse_steps
from lightning_modules.purification.schedule import DiffusionSchedule

EpsilonModel = Callable[[Tensor, Tensor], Tensor]
NoiseSource = Callable[[Tensor], Tensor]
Observer = Callable[[int, Tensor], None]


def predict_x0(x: Tensor, noise: Tensor, alpha_bar: float, clip: bool) -> Tensor:
    """Invert eq. 3: the clean image that ``x`` and its predicted noise imply, in [-1, 1] if clipped."""
    x0 = (x - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5
    return x0.clamp(-1, 1) if clip else x0


def guided_step(
    epsilon: EpsilonModel,
    step: ReverseStep,
    options: ChainOptions,
    x: Tensor,
    target: Tensor,
    z: Tensor,
    previous: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Take one guided reverse step.

    Args:
        epsilon: predicts the noise from ``(x, timesteps)``; for a learned variance six channels, noise and v.
        step: the numbers of the step.
        options: how it is guided.
        x: x_t, float32 ``(B, 3, H, W)``.
        target: x_adv^t, same shape.
        z: standard normal noise of the step, same shape.
        previous: what the step before returned as its x0_hat; None at the first step.

    Returns:
        x_{t-1}, and the x0_hat (as guidance moved it) that the next step may look back to; same shapes.
    """
    timesteps = torch.full((len(x),), step.timestep, dtype=torch.int64, device=x.device)
    output = epsilon(x, timesteps)
    noise = output[:, : x.shape[1]]
    x0 = predict_x0(x, noise, step.alpha_bar, options.clip)
    sigma: float | Tensor = step.sigma
    guidance: float | Tensor = step.guidance
    if step.log_bounds is not None:
        variance = learned_variance(output[:, x.shape[1] :], step.log_bounds)
        sigma = variance.sqrt() if step.t > 1 else 0.0
        guidance = step.guidance * variance if options.form == "posterior" else step.guidance
    mean = step.weight_x0 * x0 + step.weight_xt * x + sigma * z
    if step.weight_previous != 0 and previous is not None:
        mean = mean + step.weight_previous * previous
    if step.guidance == 0:
        return mean, x0
    push = distance_gradient(options.metric, x, target) * (guidance * _reduction_factor(options.reduction, x))
    if options.form == "literal":
        push = push * noise
    return mean - push, x0 - push / step.weight_x0 if options.looks_back else x0


def guided_reverse_chain(
    epsilon: EpsilonModel,
    schedule: DiffusionSchedule,
    options: ChainOptions,
    images: Tensor,
    start: int,
    noise: NoiseSource,
    observe: Observer | None = None,
) -> Tensor:
    """Diffuse images to step T_p and denoise them, guided by themselves (Algorithm 2).

    Noise is drawn in a fixed order (per round the start's; then per step the target's and the step's), whether it
    is used or not, so that rows of a table that differ in the guidance share their noise. Where a gradient in the
    images is asked for, every step is checkpointed: memory grows by the step's inputs, not by its network.

    Args:
        epsilon: predicts the noise from ``(x, timesteps)``; for a learned variance six channels, noise and v.
        schedule: the chain.
        options: sampler and guidance.
        images: x_adv, float32 ``(B, 3, H, W)`` in [-1, 1].
        start: T_p, the number of steps.
        noise: returns standard normal noise shaped like its argument.
        observe: called with ``(t, x_t)`` before every step and with ``(0, x_0)`` at the end.

    Returns:
        x_0, float32 ``(B, 3, H, W)``; about [-1, 1], not clipped.
    """
    steps = reverse_steps(schedule, start, options, guidance_scale(schedule, start, options, images[:1].numel()))
    differentiate = torch.is_grad_enabled() and images.requires_grad
    x = images
    for _ in range(options.rounds):
        start_noise = noise(images)
        x, previous = schedule.diffuse(x, start - 1 + options.overnoise, start_noise), None
        for step in steps:
            if observe is not None:
                observe(step.t, x.detach())
            fresh, z = noise(images), noise(images)
            target = _target(schedule, options, step, images, start_noise, fresh)
            inputs = (epsilon, step, options, x, target, z, previous)
            if differentiate:
                x, previous = checkpoint(guided_step, *inputs, use_reentrant=False)
            else:
                x, previous = guided_step(*inputs)
    if observe is not None:
        observe(0, x.detach())
    return x


def guidance_scale(schedule: DiffusionSchedule, start: int, options: ChainOptions, values: int) -> float:
    """Return s: that of the options, or the one whose pull is asked for.

    Args:
        schedule: the chain.
        start: T_p, the number of steps.
        options: sampler and guidance.
        values: N, values of an image.

    Raises:
        ValueError: no s has that pull, since a chain of one step with ``fixed_small`` has no variance.
    """
    if options.pull is None or options.pull == 0:
        return options.scale if options.pull is None else 0.0
    unit = pull_per_scale(schedule, start, options, values)
    if unit == 0:
        raise ValueError(
            f"pull={options.pull}: a chain of one step with variance fixed_small cannot be guided; "
            "take fixed_large, or ddim"
        )
    return options.pull / unit


def _target(
    schedule: DiffusionSchedule, options: ChainOptions, step: ReverseStep, images: Tensor, start: Tensor, fresh: Tensor
) -> Tensor:
    """Return x_adv^t (eq. 9) with the noise that is asked for."""
    match options.target_noise:
        case "none":
            return images
        case "shared":
            return schedule.diffuse(images, step.t - 1, start)
        case "fresh":
            return schedule.diffuse(images, step.t - 1, fresh)


def _reduction_factor(reduction: Reduction, x: Tensor) -> float:
    match reduction:
        case "image_mean":
            return 1.0
        case "image_sum":
            return float(x[0].numel())
        case "batch_mean":
            return 1.0 / len(x)
