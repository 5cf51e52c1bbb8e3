"""Reads the weights of a MatConvNet network: layers by name, in whichever of its releases' layouts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from torch import Tensor


@dataclass(frozen=True)
class ConvWeights:
    """One convolution: filters float32 ``(Cout, Cin, H, W)`` and biases ``(Cout,)``."""

    filters: Tensor
    biases: Tensor


@dataclass(frozen=True)
class MatConvNet:
    """What a file holds.

    Attributes:
        convolutions: by layer name (``conv1``, ``fc6``, ...).
        mean: float32 ``(3, H, W)`` average image, or ``(3, 1, 1)`` average colour, in 0..255.
    """

    convolutions: dict[str, ConvWeights]
    mean: Tensor


def read_matconvnet(path: str) -> MatConvNet:
    """Read a network from a MATLAB 5 file such as ``imagenet-vgg-f.mat``.

    Args:
        path: the file. Filters are ``filters`` and ``biases`` of a layer, or its cell ``weights``; the average image is
            ``normalization.averageImage``, at the top or below ``meta``.

    Raises:
        ValueError: the file is missing, is no MATLAB 5 file, or lacks these fields.
    """
    if not Path(path).is_file():
        raise ValueError(f"weights={path!r}: no such file; expected a network of MatConvNet, e.g. imagenet-vgg-f.mat")
    try:
        file: Any = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)
    except Exception as error:  # SciPy lets errors of every type through for damaged files
        raise ValueError(f"weights={path!r}: no MATLAB 5 file ({type(error).__name__}: {error})") from error
    if "layers" not in file:
        raise ValueError(f"weights={path!r}: no variable 'layers', found {sorted(k for k in file if k[:2] != '__')}")
    found = (_convolution(layer, path) for layer in np.atleast_1d(file["layers"]))
    return MatConvNet(dict(pair for pair in found if pair is not None), _mean(file, path))


def _convolution(layer: Any, path: str) -> tuple[str, ConvWeights] | None:
    name = str(getattr(layer, "name", ""))
    if hasattr(layer, "filters"):
        filters, biases = layer.filters, getattr(layer, "biases", None)
    elif len(weights := np.atleast_1d(getattr(layer, "weights", []))) == 2:
        filters, biases = weights
    else:
        return None
    filters = np.asarray(filters, np.float32)
    if biases is None or filters.ndim not in (2, 4):
        raise ValueError(f"weights={path!r}, layer {name!r}: filters {filters.shape}, biases {type(biases).__name__}")
    # H x W x Cin x Cout; squeezing took the 1 x 1 of a fully connected layer.
    if filters.ndim == 2:
        filters = filters[None, None]
    turned = np.ascontiguousarray(filters.transpose(3, 2, 0, 1))
    return name, ConvWeights(torch.from_numpy(turned), torch.from_numpy(np.asarray(biases, np.float32).reshape(-1)))


def _mean(file: Any, path: str) -> Tensor:
    for holder in (file.get("meta"), file):
        normalization = _field(holder, "normalization")
        mean = _field(normalization, "averageImage")
        if mean is not None:
            array = np.asarray(mean, np.float32)
            array = array.reshape(1, 1, 3) if array.size == 3 else array
            if array.ndim != 3 or array.shape[2] != 3:
                raise ValueError(f"weights={path!r}: averageImage is {array.shape}, expected (H, W, 3)")
            return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    raise ValueError(f"weights={path!r}: no normalization.averageImage, at the top or below meta")


def _field(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
