"""A training that starts from the network of another one."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

PREFIX = "encoders."


def start_from(encoders: nn.ModuleDict, checkpoint: str) -> None:
    """Load the encoders of a checkpoint; optimiser, epoch and loss begin anew.

    Args:
        encoders: by modality, of the same architectures and bits.
        checkpoint: file written by ``train.py fit``; read with ``weights_only=True``.

    Raises:
        ValueError: no such file, no checkpoint, or encoders of another shape.
    """
    if not Path(checkpoint).is_file():
        raise ValueError(f"init_from={checkpoint!r}: no such file; expected a checkpoint of train.py fit")
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        encoders.load_state_dict({k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)})
    except (UnpicklingError, EOFError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"init_from={checkpoint!r} does not fit this module: {error}") from error
