"""How long a purification will take, and how much memory, from a few of its steps."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_modules.defences import Defence
from lightning_modules.purification.denoiser import Denoiser
from lightning_modules.purification.purifier import DiffusionPurifier

PROBED_STEPS = 2  # the first warms up, the second is timed


@dataclass(frozen=True)
class Cost:
    """What one batch costs.

    Attributes:
        seconds: for all its steps.
        bytes: memory of the process, on a GPU of its device, at the peak.
    """

    seconds: float
    bytes: int

    def estimate(self, batches: float) -> str:
        """Say what so many batches cost."""
        seconds = self.seconds * batches
        unit, size = next((u, s) for u, s in (("h", 3600), ("min", 60), ("s", 1)) if seconds >= s or s == 1)
        return f"about {seconds / size:.3g} {unit} and {self.bytes / 2**30:.2g} GiB of memory"


@torch.no_grad()
def probe(defence: Defence, images: Tensor) -> Cost:
    """Take the first steps of a purification and leave off; other defences, which are quick, run once.

    Args:
        defence: what is to be applied.
        images: float ``(B, 3, H, W)`` in [0, 1]: a batch as large as those to come.
    """
    watch = _Stopwatch(images.device)
    hooks = [network.register_forward_pre_hook(watch) for network in _networks(defence)]
    if images.is_cuda:
        torch.cuda.reset_peak_memory_stats(images.device)
    start = watch.now()
    try:
        defence(images)
        seconds = watch.now() - start
    except _EnoughError:
        seconds = (watch.times[-1] - watch.times[-2]) * _steps(defence) * len(images) / watch.batch
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(seconds, _peak_memory(images.device))


class _EnoughError(Exception):
    """Ends a probe."""


class _Stopwatch:
    """Notes when the network is told another t, that is when a step begins, and ends the probe."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._told, self.batch = device, -1, 1
        self.times: list[float] = []

    def now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def __call__(self, module: object, args: tuple[Tensor, Tensor]) -> None:
        told, self.batch = int(args[1].flatten()[0]), len(args[0])  # a defence may part its batches
        if told != self._told:
            self._told = told
            self.times.append(self.now())
        if len(self.times) > PROBED_STEPS:
            raise _EnoughError


def _networks(defence: Defence) -> list[nn.Module]:
    """Return the networks that can be watched: a compiled one would be compiled anew for it."""
    if isinstance(defence, DiffusionPurifier) and defence.compile_network:
        return []
    return [part.unet for part in defence.modules() if isinstance(part, Denoiser)]


def _steps(defence: Defence) -> int:
    return defence.calls * defence.options.rounds if isinstance(defence, DiffusionPurifier) else 1


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
