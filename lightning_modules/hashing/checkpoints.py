"""Trained hashing networks, from checkpoints or the Hub: what is evaluated, and what attacks are trained against."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from pickle import UnpicklingError  # what torch raises for a file that is no checkpoint
from typing import Any

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from lightning.pytorch.utilities import rank_zero_warn

from lightning_modules.digests import digest_of_weights
from lightning_modules.errors import in_one_line
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.module import HashingModule
from lightning_modules.hashing.network import HashingNetwork

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?<!\.ckpt)")


def load_encoder(checkpoint: str, data: Any) -> HashEncoder:
    """Load a trained image encoder; see :func:`load_hasher`."""
    return load_hasher(checkpoint, data).image_encoder


def load_hasher(checkpoint: str, data: Any) -> HashingNetwork:
    """Load a trained hashing network, frozen and in eval mode, and check that it fits the data.

    Args:
        checkpoint: file written by ``train.py fit``, read with ``weights_only=True``; or folder or Hub id
            (``user/name``) of an image encoder, as ``HashEncoder.save_pretrained`` writes it. Only a checkpoint tells
            what it was trained on, and is checked against the data.
        data: the data module, set up.

    Raises:
        ValueError: no such file, folder or Hub id, no hashing network, or a checkpoint of other classes or other text
            features.
    """
    if Path(checkpoint).is_dir() or (not Path(checkpoint).exists() and HUB_ID.fullmatch(checkpoint)):
        network = _load_pretrained(checkpoint)
    else:
        network = load_hashing_module(checkpoint)
        _check_training(checkpoint, network.facts, data)
    network.eval().requires_grad_(False)
    # The layout that convolutions prefer; results change by rounding only.
    network.image_encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _load_pretrained(name: str) -> HashingNetwork:
    """Load the image encoder of a folder or Hub id as a network of its own."""
    try:
        encoder = HashEncoder.from_pretrained(name)
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise ValueError(
            f"hasher {name!r}: there is no such file or folder here (train.py fit writes checkpoints), and no model of "
            f"that name could be had from the Hub ({in_one_line(error)})"
        ) from error
    if encoder.backbone.input_width is not None:
        raise ValueError(f"hasher {name!r} is an encoder of texts; expected one of images")
    rank_zero_warn(f"hasher {name!r} does not tell what it was trained on: queries may be among its training items")
    network = HashingNetwork({"image": encoder.backbone}, encoder.num_bits, batch_norm=False, directions=None)
    network.encoders["image"] = encoder
    return network


def _check_training(checkpoint: str, trained: dict[str, Any], data: Any) -> None:
    """Compare what a network was trained on with the data."""
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


def digest_of_encoder(encoder: HashEncoder) -> str:
    """Hash weights and options: an option such as ``input_size`` has no weights, and changes every code."""
    options = json.dumps(encoder.backbone.architecture, sort_keys=True)
    return hashlib.sha256(f"{digest_of_weights(encoder)}\n{options}".encode()).hexdigest()


def load_hashing_module(checkpoint: str) -> HashingModule:
    """Load a trained hashing module, whatever data it was trained on.

    Raises:
        ValueError: no such file, no checkpoint of a HashingModule, or weights that are not finite.
    """
    if not Path(checkpoint).is_file():
        raise ValueError(
            f"checkpoint {checkpoint!r}: no such file; train one with train.py fit (and no Hub id, which is user/name)"
        )
    try:
        module = HashingModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(
            f"checkpoint {checkpoint!r} is none of a HashingModule, written by train.py fit ({in_one_line(error)})"
        ) from error
    states = [encoder.state_dict().items() for encoder in module.encoders.values()]
    for name, tensor in (item for items in states for item in items):
        if not torch.isfinite(tensor).all():
            raise ValueError(f"checkpoint {checkpoint!r}: weight {name!r} holds NaN or infinite values")
    return module
