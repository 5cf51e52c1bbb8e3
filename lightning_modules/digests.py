"""Digests: weights as short strings that caches and checks compare."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def digest_of_weights(module: nn.Module) -> str:
    """Hash all parameters and buffers of a module, names included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        flat = tensor.detach().contiguous().cpu().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
