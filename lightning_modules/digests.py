"""Digests: weights and tensors as short strings that caches and checks compare."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def digest_of_weights(module: nn.Module) -> str:
    """Hash all parameters and buffers of a module, names included."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def digest_of_tensor(tensor: Tensor) -> str:
    """Hash type, shape and values of a tensor."""
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().contiguous().cpu().reshape(-1)
    values: bytes = flat.view(torch.uint8).numpy().tobytes()
    return values
