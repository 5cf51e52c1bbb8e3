"""Attacks from the state dicts that their authors' repositories write, as folders that an evaluation takes.

    python -m lightning_modules.attacks.convert pros-gan prototypenet_X.pth generator_X.pth FOLDER
    python -m lightning_modules.attacks.convert tha PROTOTYPE.pth FOLDER

Bits, classes and picture size are told from the shapes of the weights. Give ``--class_names`` in the order of the label
columns, and another order than that of the data is noticed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError  # what torch raises for a file that is no state dict

import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from lightning_modules.attacks.folder import AttackFacts, prefixed, save_folder
from lightning_modules.attacks.networks import ProSGANGenerator, PrototypeNet
from lightning_modules.errors import in_one_line

Weights = dict[str, Tensor]

WAY_OUT = (
    "a whole module was pickled, which runs code of its author when it is opened, so it is not. If you trust the file, "
    "open it once in the repository that wrote it, torch.load(FILE, weights_only=False), and save its "
    "state_dict() with torch.save; that can be converted"
)


def convert_pros_gan(prototype: str, generator: str, folder: str, class_names: list[str] | None = None) -> None:
    """Convert ProS-GAN: ``prototypenet_*.pth`` and ``generator_*.pth`` of xunguangwang/ProS-GAN.

    Args:
        prototype: state dict of the prototype network.
        generator: state dict of the generator.
        folder: where to write the attack.
        class_names: the classes in the order of the label columns.
    """
    network, facts = _prototype(prototype, "ProSGAN", class_names, classifier=True)
    weights = read_state_dict(generator)
    size = _image_size(generator, weights)
    channels = len(_get(generator, weights, "image_encoder.0.weight"))
    made = ProSGANGenerator(size, channels)
    _fill(made, generator, weights)
    _write(folder, facts | {"image_size": size, "options": {"channels": channels}}, prototype=network, generator=made)


def convert_tha(prototype: str, folder: str, class_names: list[str] | None = None) -> None:
    """Convert THA: the prototype network of xunguangwang/Targeted-Attack-and-Defense-for-Deep-Hashing.

    That repository pickles the whole module: save its ``state_dict()`` first.

    Args:
        prototype: state dict of the prototype network.
        folder: where to write the attack.
        class_names: the classes in the order of the label columns.
    """
    network, facts = _prototype(prototype, "THA", class_names, classifier=False)
    _write(folder, facts, prototype=network)


def read_state_dict(file: str) -> Weights:
    """Read a state dict without running anything that the file might hold.

    Args:
        file: what ``torch.save`` wrote; the prefix ``module.`` of data parallel training is dropped.

    Raises:
        ValueError: no such file, a pickled module, or no tensors by name.
    """
    if not Path(file).is_file():
        raise ValueError(f"{file}: no such file")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if "Unsupported global" in str(error) or "GLOBAL" in str(error):
            raise ValueError(f"{file}: {WAY_OUT}") from error
        raise ValueError(f"{file}: not what torch.save writes ({in_one_line(error)})") from error
    except Exception as error:  # a stream that is no pickle fails in any way
        raise ValueError(f"{file}: not what torch.save writes ({in_one_line(error)})") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{file}: expected a state dict (tensors by name), got {type(content).__name__}")
    return {str(name).removeprefix("module."): tensor.float() for name, tensor in content.items()}


def _prototype(
    file: str, attack: str, class_names: list[str] | None, classifier: bool
) -> tuple[PrototypeNet, dict[str, object]]:
    weights = read_state_dict(file)
    num_classes = _get(file, weights, "feature.0.weight").shape[1]
    num_bits = len(_get(file, weights, "hashing.0.weight"))
    if class_names is not None and len(class_names) != num_classes:
        raise ValueError(f"{file}: knows {num_classes} classes, class_names lists {len(class_names)}")
    network = PrototypeNet(num_classes, num_bits, classifier)
    _fill(network, file, weights)
    names = None if class_names is None else tuple(class_names)
    return network, {"attack": attack, "num_bits": num_bits, "num_classes": num_classes, "class_names": names}


def _image_size(file: str, weights: Weights) -> int:
    maps = len(_get(file, weights, "label_encoder.fc.0.bias")) / 128
    stages = sum(name.startswith("label_encoder.transform") for name in weights) - 1
    return round(maps**0.5) << stages


def _get(file: str, weights: Weights, name: str) -> Tensor:
    if name not in weights:
        raise ValueError(f"{file}: no weight {name!r}, so it is not what the attack's authors write under this name")
    return weights[name]


def _fill(network: nn.Module, file: str, weights: Weights) -> None:
    expected = network.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        have, want = weights.get(name), expected.get(name)
        if have is None or want is None or have.shape != want.shape:
            shapes = [None if one is None else tuple(one.shape) for one in (have, want)]
            raise ValueError(f"{file}: weight {name!r} has shape {shapes[0]}, the network expects {shapes[1]}")
        if not have.isfinite().all():
            raise ValueError(f"{file}: weight {name!r} holds NaN or infinite values")
    network.load_state_dict(weights)


def _write(folder: str, facts: Mapping[str, object], **networks: nn.Module) -> None:
    save_folder(folder, AttackFacts(**facts), prefixed(networks))  # type: ignore[arg-type]


ATTACKS: dict[str, Callable[..., None]] = {"pros-gan": convert_pros_gan, "tha": convert_tha}


def make_parser() -> ArgumentParser:
    """Return the parser of the command line: one sub-command per attack, its options those of the function."""
    parser = ArgumentParser(prog="python -m lightning_modules.attacks.convert", description=__doc__)
    commands = parser.add_subcommands(required=True, dest="attack")
    for name, function in ATTACKS.items():
        summary = str(function.__doc__).splitlines()[0]
        command = ArgumentParser(description=summary)
        command.add_function_arguments(function, as_positional=True)
        commands.add_subcommand(name, command, help=summary)
    return parser


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 1 if the files cannot be converted."""
    config = make_parser().parse_args(args)
    options = config[config.attack]
    try:
        ATTACKS[config.attack](**options.as_dict())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.folder}: written, a trained attack")
    return 0


if __name__ == "__main__":
    sys.exit(main())
