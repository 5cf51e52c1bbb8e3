"""Trained hashing networks from their checkpoints: what is evaluated, and what attacks are trained against."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from pickle import UnpicklingError  # what torch raises for a file that is no checkpoint
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn

from lightning_modules.digests import digest_of_weights
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.module import HashingModule


def load_encoder(checkpoint: str, data: Any) -> HashEncoder:
    """Load a trained image encoder and check that it fits the data.

    Args:
        checkpoint: file written by ``train.py fit``; read with ``weights_only=True``.
        data: the data module, set up.

    Raises:
        ValueError: no such file, no checkpoint of a HashingModule, or one of other classes.
    """
    module = load_module(checkpoint)
    trained = module.facts
    if list(trained["class_names"]) != list(data.class_names):
        raise ValueError(
            f"checkpoint {checkpoint!r} was trained on {trained['num_classes']} classes of "
            f"{trained['dataset']!r}, the data set {data.dataset_name!r} has {data.num_classes} (or another order)"
        )
    if trained["fingerprint"] != data.fingerprint:
        rank_zero_warn(
            f"checkpoint {checkpoint!r} was trained on other splits of {data.dataset_name!r} (fingerprint "
            f"{trained['fingerprint'][:12]}, now {data.fingerprint[:12]}): queries may be among its training items"
        )
    # The layout that convolutions prefer; results change by rounding only.
    return module.image_encoder.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def digest_of_hasher(encoder: HashEncoder) -> str:
    """Hash weights and options: an option such as ``input_size`` has no weights, and changes every code."""
    options = json.dumps(encoder.backbone.architecture, sort_keys=True)
    return hashlib.sha256(f"{digest_of_weights(encoder)}\n{options}".encode()).hexdigest()


def load_module(checkpoint: str) -> HashingModule:
    """Load a trained hashing module, whatever data it was trained on.

    Raises:
        ValueError: no such file, no checkpoint of a HashingModule, or weights that are not finite.
    """
    if not Path(checkpoint).is_file():
        raise ValueError(f"checkpoint {checkpoint!r}: no such file; train one with train.py fit")
    try:
        module = HashingModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(
            f"checkpoint {checkpoint!r} is none of a HashingModule, written by train.py fit "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    for name, tensor in module.image_encoder.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"checkpoint {checkpoint!r}: weight {name!r} holds NaN or infinite values")
    return module
