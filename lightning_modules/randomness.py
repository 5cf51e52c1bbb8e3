"""Randomness tied to the sample: every draw is a function of (seed, purpose, sample id), never of order.

A purified image, an anchor draw or a rendered scene is therefore the same for any batch size, worker count,
number of devices, and after a resume.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def sample_seed(seed: int, purpose: str, sample_id: str) -> int:
    """Hash (seed, purpose, sample id) to 32 bits, all that torch's CPU generator uses of a seed."""
    digest = hashlib.blake2b(f"{seed}|{purpose}|{sample_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def sample_generator(seed: int, purpose: str, sample_id: str) -> torch.Generator:
    """Return a CPU generator for one sample; draw on the CPU, since CUDA's stream differs."""
    return torch.Generator().manual_seed(sample_seed(seed, purpose, sample_id))


def sample_numpy_generator(seed: int, purpose: str, sample_id: str) -> np.random.Generator:
    """Return a NumPy generator for one sample."""
    return np.random.default_rng(sample_seed(seed, purpose, sample_id))


def sample_uniforms(seed: int, purpose: str, ids: Sequence[str], count: int) -> Tensor:
    """Draw ``count`` uniform numbers per sample.

    Returns:
        float64 ``(B, count)`` in [0, 1), on the CPU.
    """
    draws = [torch.rand(count, generator=sample_generator(seed, purpose, one), dtype=torch.float64) for one in ids]
    return torch.stack(draws) if draws else torch.empty(0, count, dtype=torch.float64)


def content_ids(images: Tensor) -> tuple[str, ...]:
    """Name images by their content, for callers that have no sample ids.

    Args:
        images: float ``(B, 3, H, W)`` in [0, 1]; named after rounding to 8 bit.
    """
    pixels = images.detach().mul(255).round().to(torch.uint8).cpu().numpy()
    return tuple(hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest() for image in pixels)


class SampleNoise:
    """Standard normal or uniform noise, one independent stream per sample, in a fixed order of draws.

    Args:
        seed: the run's seed.
        purpose: separates streams of different uses of one sample.
        ids: sample ids, one per image of the batch.
    """

    def __init__(self, seed: int, purpose: str, ids: Sequence[str]) -> None:
        self._generators = [sample_generator(seed, purpose, sample_id) for sample_id in ids]

    def __call__(self, like: Tensor) -> Tensor:
        """Draw the next noise ``(B, ...)`` of shape, dtype and device of ``like``."""
        shape = like.shape[1:]
        draws = [torch.randn(shape, generator=generator) for generator in self._generators]
        return torch.stack(draws).to(device=like.device, dtype=like.dtype)

    def uniform(self, like: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw the next uniform noise ``(B, ...)`` in [low, high) of shape, dtype and device of ``like``."""
        shape = like.shape[1:]
        draws = [torch.rand(shape, generator=generator) for generator in self._generators]
        return torch.stack(draws).mul_(high - low).add_(low).to(device=like.device, dtype=like.dtype)
