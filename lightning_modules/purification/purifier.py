"""DiffusionPurifier: the paper's RetPur, images in, purified images out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, get_args

import torch
from torch import Tensor

from lightning_modules.checks import check_images
from lightning_modules.defences.base import Defence
from lightning_modules.digests import digest_of_weights
from lightning_modules.hub import HUB_OPTIONS, HubModel
from lightning_modules.purification.chain import Observer, guidance_scale, guided_reverse_chain
from lightning_modules.purification.denoiser import Diffusion
from lightning_modules.purification.guidance import Metric
from lightning_modules.purification.network import FittingBatches, NetworkCall, Precision
from lightning_modules.purification.options import (
    ChainOptions,
    GuidanceForm,
    Reduction,
    Sampler,
    ScaleSchedule,
    TargetNoise,
)
from lightning_modules.purification.samplers import pull_per_scale
from lightning_modules.purification.saving import read_options, save_diffusion, write_options
from lightning_modules.purification.schedule import DiffusionSchedule, Variance, trailing_steps
from lightning_modules.purification.sizing import Sizing, fit
from lightning_modules.randomness import SampleNoise, content_ids

# Options that change a result by rounding only.
SAME_RESULT = ("model", "batch_size", "channels_last", "compile")


class DiffusionPurifier(Defence, HubModel):
    """Guided diffusion purification (RetPur, section 3; guidance of GDMP, arXiv 2205.14969).

    A query is noised for ``purify_steps`` steps and denoised by a pretrained DDPM; every step is guided by
    the query itself. Nothing is trained. A result depends on the image, its id and ``seed`` only, not on
    batch size, order or device count (up to float rounding). It is differentiable in the images.

    Args:
        model: Hub id or local folder of a diffusers DDPM, or a loaded :class:`Diffusion`.
        purify_steps: T_p, steps to diffuse and denoise (45 in the paper).
        scale: guidance scale s (1000 in the paper); 0 is diffuse-and-denoise without guidance.
        metric: distance D of the guidance: ``ssim`` (negative SSIM, the paper's default), ``mse`` or ``gdmp_ssim``.
        respacing: keep that many of the T steps; None keeps all 1000, as the text of the paper says. GDMP's
            ImageNet setting, whose other numbers equal the paper's, keeps 250.
        form: ``posterior`` is eq. 6; ``literal`` the printed eq. 15.
        variance: reverse variance of the DDPM sampler: ``fixed_small`` or ``fixed_large`` of Ho et al. (2020), or
            ``learned``; None is ``learned`` if the network predicts one, else ``fixed_small``.
        target_noise: noise of the guidance target: ``fresh``, ``shared`` or ``none``.
        reduction: ``image_mean``, ``image_sum`` or ``batch_mean`` (GDMP's code).
        clip: clip the predicted clean image to [-1, 1] at every step.
        seed: seed of the noise; a service should keep it secret.
        batch_size: images per network call; halved for good where they do not fit the memory, so that a large
            number finds the largest that does.
        precision: ``float32``, ``bfloat16`` or ``float16`` for the network; chain, tables and guidance stay float32.
        calls: network calls, spread evenly from T_p down; None is one per step. 1 takes x0_hat from x_{T_p}.
        timesteps: steps t of the network calls, strictly descending from T_p, in place of ``calls``.
        pull: strength of the guidance as K, in place of ``scale``: it survives a change of image size, schedule and
            sampler; see :class:`ChainOptions`, also for what follows.
        scale_schedule: ``constant`` or ``noise_to_signal``.
        sampler: ``ddpm``, ``ddim``, ``dpm-solver++``, ``sde-dpm-solver++`` or ``euler``.
        eta: noise of DDIM.
        order: 1 or 2, of the DPM-Solver++ forms.
        rounds: purifications in a row.
        overnoise: steps by which a round is noised further than T_p.
        sizing: images of another size than the network's: ``native`` runs it at their size (the paper does not say),
            ``resize`` or ``resize_aliased`` scales their shorter side to the network's and the result back, ``pad``
            reflects smaller ones to its size, ``tile`` runs it on overlapping tiles of its size.
        channels_last: memory layout of the network; slower on most CPUs.
        n_paths: purifications per image whose codes vote; see :class:`Defence`. :meth:`forward` is one of them.
        compile: compile the network; the last batch is filled up, so that all batches have one shape.

    Raises:
        ValueError: an unknown option, T_p outside 1..T, no images per call, a variance that the network has not
            learned, or a folder that is no diffusers model.
    """

    def __init__(
        self,
        model: str | Diffusion,
        purify_steps: int = 45,
        scale: float = 1000.0,
        metric: Metric = "ssim",
        respacing: int | None = None,
        form: GuidanceForm = "posterior",
        variance: Variance | None = None,
        target_noise: TargetNoise = "fresh",
        reduction: Reduction = "image_mean",
        clip: bool = True,
        seed: int = 0,
        batch_size: int = 64,
        precision: Precision = "float32",
        calls: int | None = None,
        timesteps: list[int] | None = None,
        pull: float | None = None,
        scale_schedule: ScaleSchedule = "constant",
        sampler: Sampler = "ddpm",
        eta: float = 0.0,
        order: int = 2,
        rounds: int = 1,
        overnoise: int = 0,
        sizing: Sizing = "native",
        n_paths: int = 1,
        channels_last: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        diffusion = model if isinstance(model, Diffusion) else Diffusion.from_pretrained(str(model))
        self.denoiser = diffusion.denoiser.eval().requires_grad_(False)
        learns = self.denoiser.learns_variance
        if variance == "learned" and not learns:
            raise ValueError("variance='learned': the network predicts noise only; take 'fixed_small' or 'fixed_large'")
        self.options = ChainOptions(
            scale=scale,
            metric=metric,
            form=form,
            variance=variance or ("learned" if learns else "fixed_small"),
            target_noise=target_noise,
            reduction=reduction,
            clip=clip,
            pull=pull,
            scale_schedule=scale_schedule,
            sampler=sampler,
            eta=eta,
            order=order,
            rounds=rounds,
            overnoise=overnoise,
        )
        self._betas = diffusion.schedule.betas
        full = diffusion.schedule if respacing is None else diffusion.schedule.respace(respacing)
        self.schedule, self.calls = _chain(full, purify_steps, calls, timesteps, overnoise)
        if n_paths < 1:
            raise ValueError(f"n_paths={n_paths}: expected at least 1")
        if compile and reduction == "batch_mean":
            raise ValueError("compile=True fills batches up, which reduction='batch_mean' would notice; choose one")
        self.sizing, self._side = sizing, _network_side(self.denoiser.side, sizing)
        self._epsilon = NetworkCall(
            self.denoiser, precision, channels_last, compile, self._side if sizing == "tile" else None
        )
        self.purify_steps, self.seed, self.n_paths, self.compile_network = purify_steps, seed, n_paths, compile
        self._batches, self._largest = FittingBatches(batch_size), 0

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Self:
        """Load a purifier from a Hub id or folder: a diffusers DDPM, or what ``save_pretrained`` wrote.

        Args:
            pretrained_model_name_or_path: Hub id or folder; diffusers downloads what it needs of the former.
            **options: the constructor's, which override those that were saved; or ``revision`` and others of
                :meth:`HubModel.from_pretrained`, with which the whole repository is downloaded.

        Raises:
            ValueError: as the constructor does, or the saved options are damaged.
        """
        if HUB_OPTIONS.isdisjoint(options):
            return cls._load(str(pretrained_model_name_or_path), options)
        return super().from_pretrained(pretrained_model_name_or_path, **options)

    @classmethod
    def load_pretrained(cls, folder: Path, **options: Any) -> Self:
        """Read a folder; see :meth:`from_pretrained`."""
        return cls._load(str(folder), options)

    @classmethod
    def _load(cls, name: str, options: dict[str, Any]) -> Self:
        return cls(name, **read_options(name) | options)

    def _save_pretrained(self, save_directory: Path) -> None:
        save_diffusion(self.denoiser, self._betas, save_directory)
        kept = {name: value for name, value in self.spec["init_args"].items() if name not in SAME_RESULT}
        write_options(save_directory, kept)

    def card_facts(self) -> dict[str, Any]:
        """Return the options that change a result; see :meth:`HubModel.card_facts`."""
        names = ("purify_steps", "scale", "pull", "metric", "sampler", "calls")
        options = {name: self.spec["init_args"][name] for name in names}
        return {"kind": "purifier", "method": "guided diffusion purification", **options}

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

        def purify(rows: slice) -> Tensor:
            kept = self._filled(rows)
            noise = SampleNoise(self.seed, f"purify/{draw}", [names[row] for row in kept])
            return self._purify(images[kept].float(), noise, observe)[: rows.stop - rows.start]

        parts = list(self._batches.run(len(names), purify))
        return torch.cat(parts) if parts else images.float()

    def _filled(self, rows: slice) -> list[int]:
        """Rows of a batch; for a compiled network the last one again and again, up to the largest batch so far."""
        self._largest = max(self._largest, rows.stop - rows.start) if self.compile_network else 0
        return [min(row, rows.stop - 1) for row in range(rows.start, max(rows.stop, rows.start + self._largest))]

    def _purify(self, images: Tensor, noise: SampleNoise, observe: Observer | None) -> Tensor:
        fitted, restore = fit(images, self.sizing, self._side)
        with torch.autocast(images.device.type, enabled=False):  # chain and guidance stay in float32
            x0 = guided_reverse_chain(
                self._epsilon, self.schedule, self.options, 2 * fitted - 1, self.calls, noise, observe
            )
        return restore(((x0 + 1) / 2).clamp(0, 1))

    def strength(self, height: int, width: int) -> tuple[float, float]:
        """Return the strength of the guidance for images of this size: scale s and pull K (of MSE guidance)."""
        facts = (self.schedule, self.calls, self.options, 3 * height * width)
        scale = guidance_scale(*facts)
        return scale, scale * pull_per_scale(*facts)

    def facts(self, height: int, width: int) -> dict[str, float]:
        """Return the strength of the guidance as scale and pull, and the network calls per image."""
        scale, pull = self.strength(height, width)
        return {"scale": scale, "pull": pull, "network_calls": self.calls * self.options.rounds * self.n_paths}

    def train(self, mode: bool = True) -> DiffusionPurifier:
        """Stay in eval mode: the dropout of a network would be noise that belongs to no sample."""
        del mode
        return super().train(False)

    def fingerprint(self) -> str:
        """Identify the result: options and weights, not the place they were loaded from."""
        options = {k: v for k, v in self.spec["init_args"].items() if k not in SAME_RESULT}
        facts = [options, digest_of_weights(self.denoiser), self.schedule.betas.tolist()]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _chain(
    schedule: DiffusionSchedule, start: int, calls: int | None, timesteps: list[int] | None, overnoise: int
) -> tuple[DiffusionSchedule, int]:
    """Return the chain with the steps that are taken, and their number."""
    if not 1 <= start <= len(schedule):
        raise ValueError(f"purify_steps={start}: expected 1..{len(schedule)}, the steps of the chain")
    if calls is None and timesteps is None:
        if start + overnoise > len(schedule):
            raise ValueError(f"overnoise={overnoise}: expected at most {len(schedule) - start}, the rest of the chain")
        return schedule, start
    if calls is not None and timesteps is not None:
        raise ValueError("calls and timesteps exclude each other: give one of them")
    if overnoise:
        raise ValueError(f"overnoise={overnoise} needs the whole chain: leave out calls and timesteps")
    steps = timesteps if timesteps is not None else trailing_steps(start, calls or 0)
    if steps[:1] != [start]:
        raise ValueError(f"timesteps={steps}: expected to begin with purify_steps={start}")
    chain = schedule.at(steps)
    return chain, len(chain)


def _network_side(side: int | None, sizing: Sizing) -> int:
    """Check ``sizing``, and return the side of the network's pictures; 0 where nothing depends on it."""
    if sizing not in get_args(Sizing):
        raise ValueError(f"sizing={sizing!r}: expected one of {', '.join(get_args(Sizing))}")
    if sizing == "native":
        return 0
    if side is None:
        raise ValueError(f"sizing={sizing!r}: the network's config.json tells no sample_size; take 'native'")
    return side
