"""The folder of a purifier: a diffusers pipeline, and ``purifier.json`` with the options of the purification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import DDPMPipeline, DDPMScheduler
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor

from lightning_modules.purification.denoiser import Denoiser

OPTIONS = "purifier.json"


def save_diffusion(denoiser: Denoiser, betas: Tensor, folder: Path) -> None:
    """Write network and schedule as a ``DDPMPipeline``.

    Args:
        denoiser: the network.
        betas: of the whole chain, float64 ``(T,)``; diffusers computes with them in float32.
        folder: where to.
    """
    scheduler: Any = DDPMScheduler(num_train_timesteps=len(betas), trained_betas=betas.tolist())
    pipeline: Any = DDPMPipeline(unet=denoiser.unet, scheduler=scheduler)
    pipeline.save_pretrained(folder)


def write_options(folder: Path, options: dict[str, Any]) -> None:
    """Write the options of a purifier."""
    (folder / OPTIONS).write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")


def read_options(name: str) -> dict[str, Any]:
    """Return the options that were saved in a folder or Hub id; none where there is a DDPM alone.

    Raises:
        ValueError: the file is damaged.
    """
    path = Path(name) / OPTIONS
    if not Path(name).is_dir():
        try:
            path = Path(hf_hub_download(name, OPTIONS))
        except (HfHubHTTPError, OSError, ValueError):  # whether there is a DDPM at all is told by who loads it
            return {}
    if not path.is_file():
        return {}
    try:
        options = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no valid JSON ({error})") from error
    if not isinstance(options, dict) or "model" in options:
        raise ValueError(f"{path}: expected the options of a purifier by name")
    return options
