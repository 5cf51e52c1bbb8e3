"""Foreign weights: safe reading, renaming, and writing as a diffusers folder once every key has found its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError  # what torch raises for a file that is no checkpoint
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lightning_modules.errors import in_one_line

Weights = dict[str, Tensor]

RESBLOCK_NORMS = 32  # groups of every GroupNorm in both families


def read_weights(file: str) -> Weights:
    """Read a state dict without running anything that the file might hold.

    A training checkpoint may nest it under ``state_dict`` or be a list ``[weights, optimiser, ..., averaged
    weights]``, of which the last weights are taken; the prefix ``module.`` of data parallel training is dropped.

    Args:
        file: ``.safetensors``, or what ``torch.save`` wrote.

    Returns:
        float32 tensors by name, on the CPU.

    Raises:
        ValueError: no such file, no weights in it, or something that only unsafe loading could read.
    """
    if not Path(file).is_file():
        raise ValueError(f"{file}: no such file")
    try:
        if file.endswith(".safetensors"):
            content: Any = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, SafetensorError, EOFError, RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{file}: not readable as plain weights ({in_one_line(error)})") from error
    found = _weights_in(content)
    if found is None:
        raise ValueError(f"{file}: expected a state dict (tensors by name), got {type(content).__name__}")
    for name, tensor in found.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{file}: weight {name!r} holds NaN or infinite values")
    return {name.removeprefix("module."): tensor.float() for name, tensor in found.items()}


def _weights_in(content: Any) -> Weights | None:
    if isinstance(content, list | tuple):
        inside = [found for part in content if (found := _weights_in(part)) is not None]
        return inside[-1] if inside else None
    if not isinstance(content, dict) or not content:
        return None
    if "state_dict" in content:
        return _weights_in(content["state_dict"])
    return content if all(isinstance(value, Tensor) for value in content.values()) else None


class Renaming:
    """Moves weights from the names of one family to those of diffusers; none may be missing or left over.

    Args:
        file: where they come from, for messages.
        family: what the file should be, for messages.
        weights: by their old names.
    """

    def __init__(self, file: str, family: str, weights: Weights) -> None:
        self.file, self.family = file, family
        self._left, self._moved = dict(weights), Weights()

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def shape(self, name: str) -> torch.Size:
        """Return the shape of a weight that has not been moved yet."""
        return self._get(name).shape

    def _get(self, name: str) -> Tensor:
        if name not in self._left:
            raise ValueError(f"{self.file}: no weight {name!r}, expected the layout of {self.family}")
        return self._left[name]

    def move(self, old: str, new: str) -> None:
        """Move ``weight`` and, where there is one, ``bias`` of a layer."""
        self.move_split(old, [new], lambda tensor: (tensor,))

    def move_split(self, old: str, new: list[str], parts: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        """Move a layer to several ones, each of which gets a part of its weight and of its bias."""
        for kind in ("weight", "bias") if f"{old}.bias" in self._left else ("weight",):
            tensor = self._get(f"{old}.{kind}")
            for target, part in zip(new, parts(tensor), strict=True):
                self._moved[f"{target}.{kind}"] = part.contiguous()
            del self._left[f"{old}.{kind}"]

    def as_linear(self, tensor: Tensor) -> tuple[Tensor]:
        """Drop the window of a convolution of size one; a bias has none."""
        return (tensor.flatten(1) if tensor.ndim > 1 else tensor,)

    def save(self, folder: str, config: dict[str, Any], scheduler: dict[str, Any]) -> None:
        """Write network and schedule as a ``DDPMPipeline`` folder.

        Args:
            folder: the folder; made, or its files replaced.
            config: arguments of ``UNet2DModel``.
            scheduler: arguments of ``DDPMScheduler``.

        Raises:
            ValueError: a weight is left over, missing, or of another shape than in the network.
        """
        if self._left:
            some = ", ".join(map(repr, sorted(self._left)[:3]))
            raise ValueError(f"{self.file}: {len(self._left)} weights are unknown to {self.family}: {some}")
        if Path(folder).is_file():
            raise ValueError(f"{folder}: a file, expected a folder to write")
        with torch.device("meta"):  # large networks: no memory and no time for values that are replaced
            network: Any = UNet2DModel(**config)
        expected = network.state_dict()
        for name in sorted(expected.keys() | self._moved.keys()):
            have, want = self._moved.get(name), expected.get(name)
            if have is None or want is None or have.shape != want.shape:
                shapes = [None if one is None else tuple(one.shape) for one in (have, want)]
                raise ValueError(
                    f"{self.file}: diffusers' U-Net cannot express this network; weight {name!r} has shape "
                    f"{shapes[0]}, expected {shapes[1]}"
                )
        network.load_state_dict(self._moved, assign=True)
        pipeline: Any = DDPMPipeline(unet=network.eval(), scheduler=DDPMScheduler(**scheduler))
        pipeline.save_pretrained(folder)
