"""State dicts of the repositories of DGCPN and DADH, as TA-DCH expects them, read into our encoders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_modules.errors import in_one_line
from lightning_modules.hashing.cnnf import CNNF, CONVOLUTIONS
from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.mlp import FrozenBackbone, TextMLP

Family = Literal["dgcpn", "dadh"]
Weights = Mapping[str, Tensor]
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
DROPOUT = {"dgcpn": 0.5, "dadh": 0.0}


def read_released(path: str, family: Family, mat: str) -> dict[str, HashEncoder]:
    """Read both encoders of a released network.

    ``DGCPN.pth`` holds ``ImgNet`` and ``TxtNet``, each with ``fc1`` and ``fc_encode``. ``DADH.pth`` is the generator:
    ``image_module``, ``text_module`` (linear layers with batch norm) and ``hash_module``. Either may hold the
    extractor's filters as ``cnn_f.*``; its average image is in none of them.

    Args:
        path: the file; only tensors are loaded from it.
        family: whose layout it has.
        mat: MatConvNet's ``imagenet-vgg-f.mat``.

    Returns:
        encoders of ``image`` and ``text`` in eval mode. The extractor is CNN-F as those repositories build it: local
        response normalisation over 2 channels, and for DADH the additional padding.

    Raises:
        ValueError: the file is missing, cannot be loaded safely, or has another layout; a key is named.
    """
    stored = _load(path)
    extractor = CNNF(mat, lrn="repo", pool1_padding=family == "dadh")
    match family:
        case "dgcpn":
            parts = {"image": _part(stored, "ImgNet", path), "text": _part(stored, "TxtNet", path)}
            trained = {name: (_stack(part, r"fc1"), _layer(part, "fc_encode", path)) for name, part in parts.items()}
            filters = _below(parts["image"], "cnn_f")
        case "dadh":
            trained = {
                name: (_stack(stored, rf"{name}_module\.\d+"), _layer(stored, f"hash_module.{name}.0", path))
                for name in ("image", "text")
            }
            filters = _below(stored, "cnn_f")
        case _:
            raise ValueError(f"family={family!r}: expected 'dgcpn' or 'dadh'")
    if filters:
        _load_filters(extractor, filters, path)
    return {name: _encoder(name, stack, hashing, extractor, family, path) for name, (stack, hashing) in trained.items()}


def _load(path: str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: no state dict that can be loaded safely ({in_one_line(error)})") from error
    if not isinstance(stored, dict):
        raise ValueError(f"{path}: holds a {type(stored).__name__}, expected a state dict")
    return stored


def _part(stored: dict[str, Any], name: str, path: str) -> Weights:
    part = stored.get(name)
    if not isinstance(part, dict):
        raise ValueError(f"{path}: no state dict {name!r}, found {sorted(stored)[:5]}")
    return part


def _layer(weights: Weights, name: str, path: str) -> dict[str, Tensor]:
    missing = [key for key in (f"{name}.weight", f"{name}.bias") if key not in weights]
    if missing:
        raise ValueError(f"{path}: no {missing[0]!r}, found {sorted(weights)[:5]}")
    return _below(weights, name)


def _below(weights: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _stack(weights: Weights, pattern: str) -> list[dict[str, Tensor]]:
    """Return the layers whose names match, in order of their numbers; those without weights have none."""
    names = {key.rpartition(".")[0] for key in weights}
    matching = [name for name in names if re.fullmatch(pattern, name)]
    return [_below(weights, name) for name in sorted(matching, key=_number)]


def _number(name: str) -> int:
    return int(re.findall(r"\d+", name)[-1])


@torch.no_grad()
def _load_filters(extractor: CNNF, filters: Weights, path: str) -> None:
    layers = [_below(filters, name) for name in _convolutions(filters)]
    if len(layers) not in (len(CONVOLUTIONS), len(CONVOLUTIONS) + 1):  # fc8, which is not used, may be there
        raise ValueError(f"{path}: cnn_f has {len(layers)} convolutions, expected {len(CONVOLUTIONS)}")
    for name, layer in zip(CONVOLUTIONS, layers, strict=False):
        _copy(extractor.get_submodule(name), layer, ("weight", "bias"), f"{path}: cnn_f, {name}")


def _convolutions(filters: Weights) -> Iterable[str]:
    names = [key.removesuffix(".weight") for key, value in filters.items() if value.ndim == 4]
    return sorted(names, key=_number)


def _encoder(
    name: str,
    stack: list[dict[str, Tensor]],
    hashing: dict[str, Tensor],
    extractor: CNNF,
    family: Family,
    path: str,
) -> HashEncoder:
    linear = [layer for layer in stack if layer["weight"].ndim == 2]
    norms = [layer for layer in stack if layer["weight"].ndim == 1]
    hidden = [len(layer["bias"]) for layer in linear]
    if not hidden or len(norms) not in (0, len(linear)):
        raise ValueError(f"{path}: {len(linear)} linear layers of {name} with {len(norms)} batch norms")
    backbone: FrozenBackbone | TextMLP
    if name == "image":
        backbone = FrozenBackbone(extractor, hidden, bool(norms), DROPOUT[family])
        body = backbone.head
    else:
        backbone = TextMLP(hidden, bool(norms), DROPOUT[family])
        backbone.set_up(linear[0]["weight"].shape[1])
        body = backbone.body
    ours = [layer for layer in body if isinstance(layer, nn.Linear)]
    for number, (layer, weights) in enumerate(zip(ours, linear, strict=True)):
        _copy(layer, weights, ("weight", "bias"), f"{path}: layer {number} of {name}")
    our_norms = [layer for layer in body if isinstance(layer, nn.BatchNorm1d)]
    for norm, weights in zip(our_norms, norms, strict=True):
        _copy(norm, weights, BATCH_NORM, f"{path}: batch norm of {name}")
    encoder = HashEncoder(backbone, len(hashing["bias"]))
    _copy(encoder.hash_layer, hashing, ("weight", "bias"), f"{path}: hashing layer of {name}")
    return encoder.eval()


@torch.no_grad()
def _copy(layer: nn.Module, weights: Weights, names: Iterable[str], where: str) -> None:
    for name in names:
        ours, theirs = getattr(layer, name), weights.get(name)
        if theirs is None or theirs.shape != ours.shape:
            shape = None if theirs is None else tuple(theirs.shape)
            raise ValueError(f"{where}: {name} is {shape}, expected {tuple(ours.shape)}")
        ours.copy_(theirs)
