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
    """Load a trained image encoder; see :func:`load_hasher`."""
    return load_hasher(checkpoint, data).image_encoder


def load_hasher(checkpoint: str, data: Any) -> HashingModule:
    """Load a trained hashing network, frozen and in eval mode, and check that it fits the data.

    Args:
        checkpoint: file written by ``train.py fit``; read with ``weights_only=True``.
        data: the data module, set up.

    Raises:
        ValueError: no such file, no checkpoint of a HashingModule, or one of other classes or other text features.
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
    if "text" in trained and data.text_width is not None:
        _check_text(checkpoint, trained, data)
    module.eval().requires_grad_(False)
    # The layout that convolutions prefer; results change by rounding only.
    module.image_encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def _check_text(checkpoint: str, trained: dict[str, Any], data: Any) -> None:
    """Compare the text features of a training with those of the data."""
    known, found = ((trained["text_width"], trained["text"]), (data.text_width, data.text_title))
    if known[0] != found[0]:
        raise ValueError(
            f"checkpoint {checkpoint!r} was trained on {known[0]} text features ({known[1]}), "
            f"the data set {data.dataset_name!r} has {found[0]} ({found[1]})"
        )
    if known[1] != found[1]:
        rank_zero_warn(f"checkpoint {checkpoint!r} was trained on other text features: {known[1]}, now {found[1]}")


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
    states = [encoder.state_dict().items() for encoder in module.encoders.values()]
    for name, tensor in (item for items in states for item in items):
        if not torch.isfinite(tensor).all():
            raise ValueError(f"checkpoint {checkpoint!r}: weight {name!r} holds NaN or infinite values")
    return module
