"""The pretrained network behind one contract: (x_t, t) -> predicted noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from lightning_modules.errors import in_one_line
from lightning_modules.purification.schedule import DiffusionSchedule
from lightning_modules.purification.sizing import reflect


class Denoiser(nn.Module):
    """A diffusers U-Net as ``epsilon(x, t)``, at any image size.

    Images whose sides the network cannot halve often enough are padded by reflection, and cropped back.

    Args:
        unet: predicts the noise; of six output channels (learned variance) the first three are the noise.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet: Any = unet  # diffusers' classes are untyped
        self._multiple = 2 ** (len(self.unet.config["block_out_channels"]) - 1)

    @property
    def side(self) -> int | None:
        """Shorter side of the pictures that the network was trained on, as far as its configuration tells."""
        size = self.unet.config["sample_size"]
        return min(size) if isinstance(size, list | tuple) else size

    @property
    def learns_variance(self) -> bool:
        """Whether the network predicts a variance beside the noise (Nichol & Dhariwal, 2021)."""
        return bool(self.unet.config["out_channels"] == 2 * self.unet.config["in_channels"])

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        """Predict the noise in ``x``.

        Args:
            x: float ``(B, 3, H, W)``, noised images that were in [-1, 1].
            timesteps: int64 ``(B,)``, indices in the original chain.

        Returns:
            float ``(B, 3, H, W)`` of the dtype of ``x``.
        """
        return self.outputs(x, timesteps)[:, : x.shape[1]]

    def outputs(self, x: Tensor, timesteps: Tensor) -> Tensor:
        """Return all that the network predicts: noise, and v of the variance where it learned one.

        Args:
            x: float ``(B, 3, H, W)``, noised images that were in [-1, 1].
            timesteps: int64 ``(B,)``, indices in the original chain.

        Returns:
            float ``(B, 3, H, W)`` or ``(B, 6, H, W)`` of the dtype of ``x``.
        """
        height, width = x.shape[-2:]
        padded = reflect(x, height + -height % self._multiple, width + -width % self._multiple)
        output: Tensor = self.unet(padded, timesteps).sample
        return output[..., :height, :width].to(x.dtype)


@dataclass(frozen=True)
class Diffusion:
    """A pretrained diffusion model: the network and the schedule that it was trained with."""

    denoiser: Denoiser
    schedule: DiffusionSchedule

    @classmethod
    def from_pretrained(cls, path: str) -> Diffusion:
        """Load a diffusers pipeline or its parts.

        Args:
            path: Hub id (``google/ddpm-cifar10-32``) or local folder: a saved ``DDPMPipeline``, or a folder
                with ``unet/`` and ``scheduler/``. Only safetensors or ``weights_only`` loading happens.

        Raises:
            ValueError: nothing there is a diffusers U-Net, it predicts something other than noise or needs a class
                per image, or its weights are incomplete or hold NaN.
        """
        unet, scheduler = _load_unet(path), load_scheduler(path)
        kind = scheduler.config["prediction_type"]
        if kind != "epsilon":
            raise ValueError(f"{path}: the network predicts {kind!r}, expected 'epsilon' (noise)")
        if unet.config["num_class_embeds"] is not None:
            raise ValueError(f"{path}: the network needs the class of each image, expected an unconditional one")
        for name, weight in unet.named_parameters():
            if not torch.isfinite(weight).all():
                raise ValueError(f"{path}: weight {name!r} holds NaN or infinite values")
        betas = scheduler.betas.double()
        return cls(Denoiser(unet), DiffusionSchedule(betas, torch.arange(len(betas))))


def _load_unet(path: str) -> Any:
    nested = not Path(path).is_dir() or (Path(path) / "unet").is_dir()
    errors: list[str] = []
    for subfolder in ("unet", None) if nested else (None,):
        try:
            unet, loading = UNet2DModel.from_pretrained(
                path, subfolder=subfolder, low_cpu_mem_usage=False, output_loading_info=True
            )
        except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
            errors.append(in_one_line(error))
            continue
        if loading["missing_keys"]:  # diffusers would leave them at random values
            raise ValueError(f"{path}: the weights lack {', '.join(map(repr, loading['missing_keys'][:3]))}")
        return unet
    raise ValueError(
        f"{path!r} is no diffusers model: expected a Hub id, or a folder saved by DDPMPipeline.save_pretrained "
        f"(unet/config.json with UNet2DModel and scheduler/scheduler_config.json); {'; '.join(errors)}"
    )


def load_scheduler(path: str) -> Any:
    """Load the ``DDPMScheduler`` of a Hub id or folder; see :meth:`Diffusion.from_pretrained`."""
    nested = not Path(path).is_dir() or (Path(path) / "scheduler").is_dir()
    try:
        return DDPMScheduler.from_pretrained(path, subfolder="scheduler" if nested else None)
    except (OSError, ValueError) as error:
        if not nested or Path(path).is_dir():
            raise ValueError(f"{path!r} has no scheduler_config.json: {error}") from error
        return DDPMScheduler.from_pretrained(path)
