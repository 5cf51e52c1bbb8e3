"""ChainOptions: every choice of the reverse chain, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lightning_modules.purification.guidance import Metric
from lightning_modules.purification.schedule import Variance

Sampler = Literal["ddpm", "ddim", "dpm-solver++", "sde-dpm-solver++", "euler"]
GuidanceForm = Literal["posterior", "literal"]
TargetNoise = Literal["fresh", "shared", "none"]
Reduction = Literal["image_mean", "image_sum", "batch_mean"]
ScaleSchedule = Literal["constant", "noise_to_signal"]

CHOICES = {
    "sampler": Sampler,
    "metric": Metric,
    "form": GuidanceForm,
    "variance": Variance,
    "target_noise": TargetNoise,
    "reduction": Reduction,
    "scale_schedule": ScaleSchedule,
}


@dataclass(frozen=True)
class ChainOptions:
    """How the reverse chain steps and is guided; the defaults are the paper's.

    Attributes:
        scale: s of eq. 6; 0 is diffusion and denoising without guidance.
        metric: distance D of the guidance: ``ssim`` (negative SSIM), ``mse``, or ``gdmp_ssim``, the SSIM of GDMP's
            code (borders of zeros, constants for images in [0, 1] although they are in [-1, 1]).
        form: ``posterior`` (eq. 6, 22) or ``literal`` (eq. 15, 16 and Algorithm 2 as printed).
        variance: reverse variance of the DDPM sampler: ``fixed_small`` or ``fixed_large`` of Ho et al. (2020), or
            ``learned``, per pixel, by a network of six output channels (Nichol & Dhariwal, 2021).
        target_noise: the target x_adv^t is x_adv noised to t (eq. 9) with ``fresh`` noise at every step,
            with the noise of the start (``shared``), or x_adv itself (``none``; what GDMP's ImageNet code does).
        reduction: ``image_mean`` takes D per image; ``image_sum`` sums over pixels; ``batch_mean`` divides by
            the batch size as GDMP's code does, which makes an image depend on its batch.
        clip: clip x0_hat to [-1, 1].
        pull: strength of the guidance as K, independent of image size, schedule and sampler; replaces ``scale``.
            K is the sum over the chain of the shares ``k_t = 2 s sigma_t^2 / N`` by which MSE guidance moves x_t to
            its target, N the number of values of an image; the same s is taken for SSIM.
        scale_schedule: ``constant`` s, or s times ``sqrt((1 - A_t) / A_t)`` (``noise_to_signal``), as GDMP's code.
        sampler: ``ddpm``, ``ddim``, ``dpm-solver++`` or ``sde-dpm-solver++``, or ``euler`` of the reverse SDE.
        eta: noise of DDIM: 0 is deterministic, 1 the noise of a DDPM.
        order: 1 or 2 (multistep), of the DPM-Solver++ forms.
        rounds: purify that many times in a row, each time from the result, guided by the same x_adv.
        overnoise: steps by which a round is noised further than its first reverse step (1 in GDMP's CIFAR code).
    """

    scale: float = 1000.0
    metric: Metric = "ssim"
    form: GuidanceForm = "posterior"
    variance: Variance = "fixed_small"
    target_noise: TargetNoise = "fresh"
    reduction: Reduction = "image_mean"
    clip: bool = True
    pull: float | None = None
    scale_schedule: ScaleSchedule = "constant"
    sampler: Sampler = "ddpm"
    eta: float = 0.0
    order: int = 2
    rounds: int = 1
    overnoise: int = 0

    def __post_init__(self) -> None:
        for name, kind in CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                allowed = ", ".join(get_args(kind))
                raise ValueError(f"{name}={getattr(self, name)!r}: expected one of {allowed}")
        wrong = {
            "scale": (self.scale < 0, "0 or more"),
            "pull": (self.pull is not None and self.pull < 0, "0 or more, or null for a constant scale"),
            "eta": (not 0 <= self.eta <= 1, "0 to 1"),
            "order": (self.order not in (1, 2), "1 or 2"),
            "rounds": (self.rounds < 1, "at least 1"),
            "overnoise": (self.overnoise < 0, "0 or more steps"),
        }
        for name, (bad, expected) in wrong.items():
            if bad:
                raise ValueError(f"{name}={getattr(self, name)}: expected {expected}")
        if self.pull is not None and self.reduction != "image_mean":
            raise ValueError(f"pull={self.pull} needs reduction='image_mean', by which K is defined")
        if self.form == "literal" and (self.sampler != "ddpm" or self.pull is not None):
            raise ValueError(
                "form='literal' is eq. 15: it needs sampler='ddpm', and its strength is no pull but a scale"
            )

    @property
    def looks_back(self) -> bool:
        """Whether a step uses the x0_hat of the step before."""
        return self.order == 2 and self.sampler in ("dpm-solver++", "sde-dpm-solver++")
