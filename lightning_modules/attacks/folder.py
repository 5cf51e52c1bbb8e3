"""The folder of a trained attack: ``config.json`` says what it fits, ``weights.safetensors`` is what it learned."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

CONFIG, WEIGHTS, FORMAT = "config.json", "weights.safetensors", 1


@dataclass(frozen=True)
class AttackFacts:
    """What a trained attack fits, and where it comes from.

    Attributes:
        attack: name of the class that reads the folder.
        num_bits: code length of the hasher it was trained against.
        num_classes: length of a label.
        image_size: side of the pictures, or None for an attack that takes any.
        class_names: names of the classes in label order, or None where they are not known (imported weights).
        dataset: name of the data set, or empty.
        victim: digest of the hasher, or empty.
        options: arguments of the networks.
    """

    attack: str
    num_bits: int
    num_classes: int
    image_size: int | None = None
    class_names: tuple[str, ...] | None = None
    dataset: str = ""
    victim: str = ""
    options: Mapping[str, Any] | None = None


def save_folder(folder: str | Path, facts: AttackFacts, tensors: Mapping[str, Tensor]) -> None:
    """Write a trained attack; an old folder is replaced once the new one is complete.

    Args:
        folder: where to.
        facts: what is written to ``config.json``.
        tensors: what is written to ``weights.safetensors``.

    Raises:
        ValueError: ``folder`` exists and is no folder of an attack: it is left alone.
    """
    target = Path(folder)
    if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or (target / CONFIG).is_file())):
        raise ValueError(f"{target}: exists and is no trained attack; choose another folder")
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial / WEIGHTS)
        write_config(partial, facts)
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_config(folder: Path, facts: AttackFacts) -> None:
    """Write ``config.json`` into a folder that is there."""
    config = {"format": FORMAT} | asdict(facts)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_folder(folder: str | Path, attack: str) -> tuple[AttackFacts, dict[str, Tensor]]:
    """Read a trained attack.

    Args:
        folder: written by :func:`save_folder`.
        attack: what it must be.

    Returns:
        its facts and its tensors.

    Raises:
        ValueError: a file is missing or damaged, or the folder holds another attack.
    """
    path = Path(folder)
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(path / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"attack folder {str(folder)!r}: {CONFIG} and {WEIGHTS} are expected, as a training of the attack writes "
            f"them ({type(error).__name__}: {error})"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path / CONFIG}: no valid JSON ({error})") from error
    known = {field.name for field in fields(AttackFacts)}
    if not isinstance(config, dict) or config.get("format") != FORMAT or config.keys() - known != {"format"}:
        raise ValueError(f"{path / CONFIG}: not written by this version of the suite (format {FORMAT} is expected)")
    if config["attack"] != attack:
        raise ValueError(f"attack folder {str(folder)!r} holds {config['attack']}, expected {attack}")
    names = config["class_names"]
    values = {name: config[name] for name in config.keys() & known}
    return AttackFacts(**values | {"class_names": None if names is None else tuple(names)}), tensors


def prefixed(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Collect the state of several networks, ``name.parameter`` to tensor."""
    return {f"{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()}


def load_prefixed(networks: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], source: str) -> None:
    """Load what :func:`prefixed` collected.

    Raises:
        ValueError: a tensor is missing, unknown, of another shape, or not finite; ``source`` says whose.
    """
    expected = prefixed(networks)
    wrong = sorted(expected.keys() ^ tensors.keys())
    wrong += sorted(k for k in expected.keys() & tensors.keys() if expected[k].shape != tensors[k].shape)
    if wrong:
        raise ValueError(f"{source}: the weights do not fit the networks that {CONFIG} names, e.g. {wrong[0]!r}")
    poisoned = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if poisoned:
        raise ValueError(f"{source}: weight {poisoned[0]!r} holds NaN or infinite values")
    for name, net in networks.items():
        own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        net.load_state_dict(own)
