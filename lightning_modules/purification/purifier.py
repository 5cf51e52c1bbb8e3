"""DiffusionPurifier: the paper's RetPur, images in, purified images out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_modules.checks import check_images
from lightning_modules.defences.base import Defence
from lightning_modules.digests import digest_of_weights
from lightning_modules.purification.denoiser import Diffusion
from lightning_modules.purification.guidance import Metric
from lightning_modules.purification.sampling import (
    GuidanceForm,
    GuidanceOptions,
    Observer,
    Reduction,
    TargetNoise,
    guided_reverse_chain,
)
from lightning_modules.purification.schedule import Variance
from lightning_modules.randomness import SampleNoise, content_ids


class DiffusionPurifier(Defence):
    """Guided diffusion purification (RetPur, section 3; guidance of GDMP, arXiv 2205.14969).

    A query is noised for ``purify_steps`` steps and denoised by a pretrained DDPM; every step is guided by
    the query itself. Nothing is trained. A result depends on the image, its id and ``seed`` only, not on
    batch size, order or device count (up to float rounding). It is differentiable in the images.

    Args:
        model: Hub id or local folder of a diffusers DDPM, or a loaded :class:`Diffusion`.
        purify_steps: T_p, steps to diffuse and denoise (45 in the paper).
        scale: guidance scale s (1000 in the paper); 0 is diffuse-and-denoise without guidance.
        metric: distance D of the guidance: ``ssim`` (negative SSIM, the paper's default) or ``mse``.
        respacing: keep that many of the T steps; None keeps all 1000, as the text of the paper says. GDMP's
            ImageNet setting, whose other numbers equal the paper's, keeps 250.
        form: ``posterior`` is eq. 6; ``literal`` the printed eq. 15.
        variance: reverse variance of Ho et al. (2020), ``fixed_small`` or ``fixed_large``.
        target_noise: noise of the guidance target: ``fresh``, ``shared`` or ``none``.
        reduction: ``image_mean``, ``image_sum`` or ``batch_mean`` (GDMP's code).
        clip: clip the predicted clean image to [-1, 1] at every step.
        seed: seed of the noise; a service should keep it secret.
        batch_size: images per network call.
        precision: ``float32`` or ``bfloat16`` for the network; chain, tables and guidance stay float32.

    Raises:
        ValueError: an unknown option, T_p outside 1..T, no images per call, or a folder that is no diffusers model.
    """

    def __init__(
        self,
        model: str | Diffusion,
        purify_steps: int = 45,
        scale: float = 1000.0,
        metric: Metric = "ssim",
        respacing: int | None = None,
        form: GuidanceForm = "posterior",
        variance: Variance = "fixed_small",
        target_noise: TargetNoise = "fresh",
        reduction: Reduction = "image_mean",
        clip: bool = True,
        seed: int = 0,
        batch_size: int = 64,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        super().__init__()
        self.options = GuidanceOptions(scale, metric, form, variance, target_noise, reduction, clip)
        diffusion = model if isinstance(model, Diffusion) else Diffusion.from_pretrained(str(model))
        self.denoiser = diffusion.denoiser.eval().requires_grad_(False)
        self.schedule = diffusion.schedule if respacing is None else diffusion.schedule.respace(respacing)
        if not 1 <= purify_steps <= len(self.schedule):
            raise ValueError(f"purify_steps={purify_steps}: expected 1..{len(self.schedule)}, the steps of the chain")
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision={precision!r}: expected 'float32' or 'bfloat16'")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: expected at least 1")
        self.purify_steps, self.seed = purify_steps, seed
        self.batch_size, self.precision = batch_size, precision

    @classmethod
    def from_pretrained(cls, path: str, **options: Any) -> DiffusionPurifier:
        """Load a purifier from a Hub id or folder; ``options`` are the constructor's."""
        return cls(path, **options)

    def forward(
        self,
        images: Tensor,
        ids: Sequence[str] | None = None,
        draw: int = 0,
        observe: Observer | None = None,
    ) -> Tensor:
        """Purify images; see :meth:`Defence.forward`.

        Args:
            images: float ``(B, 3, H, W)`` in [0, 1].
            ids: sample ids; default: digests of the images.
            draw: number of the repetition.
            observe: called with ``(t, x_t)`` along the chain, x_t in [-1, 1] up to noise.

        Returns:
            float32 ``(B, 3, H, W)`` in [0, 1].

        Raises:
            ValueError: images of another shape, dtype or range, or one id per image is missing.
        """
        check_images(images)
        names = content_ids(images) if ids is None else tuple(ids)
        if len(names) != len(images):
            raise ValueError(f"{len(names)} ids for {len(images)} images")
        parts = []
        for start in range(0, len(names), self.batch_size):
            rows = slice(start, start + self.batch_size)
            noise = SampleNoise(self.seed, f"purify/{draw}", names[rows])
            parts.append(self._purify(images[rows].float().contiguous(), noise, observe))
        return torch.cat(parts) if parts else images.float()

    def _purify(self, images: Tensor, noise: SampleNoise, observe: Observer | None) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):  # chain and guidance stay in float32
            x0 = guided_reverse_chain(
                self._epsilon, self.schedule, self.options, 2 * images - 1, self.purify_steps, noise, observe
            )
        return ((x0 + 1) / 2).clamp(0, 1)

    def _epsilon(self, x: Tensor, timesteps: Tensor) -> Tensor:
        enabled = self.precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=enabled):
            return self.denoiser(x, timesteps)

    def train(self, mode: bool = True) -> DiffusionPurifier:
        """Stay in eval mode: the dropout of a network would be noise that belongs to no sample."""
        del mode
        return super().train(False)

    def fingerprint(self) -> str:
        """Identify the result: options and weights, not the place they were loaded from."""
        options = {k: v for k, v in self.spec["init_args"].items() if k not in ("model", "batch_size")}
        facts = [options, digest_of_weights(self.denoiser), self.schedule.betas.tolist()]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
