"""``python -m lightning_modules.purification.convert adm|pesser FILE FOLDER``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from jsonargparse import ArgumentParser

from lightning_modules.purification.convert import convert_adm, convert_pesser

FAMILIES: dict[str, Callable[..., None]] = {"adm": convert_adm, "pesser": convert_pesser}


def make_parser() -> ArgumentParser:
    """Return the parser of the command line: one sub-command per family, its options those of the function."""
    parser = ArgumentParser(prog="python -m lightning_modules.purification.convert", description=__doc__)
    commands = parser.add_subcommands(required=True, dest="family")
    for name, function in FAMILIES.items():
        summary = str(function.__doc__).splitlines()[0]
        command = ArgumentParser(description=summary)
        command.add_function_arguments(function, as_positional=True)
        commands.add_subcommand(name, command, help=summary)
    return parser


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 1 if the file cannot be converted."""
    config = make_parser().parse_args(args)
    options = config[config.family]
    try:
        FAMILIES[config.family](**options.as_dict())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.folder}: written, a diffusers pipeline")
    return 0


if __name__ == "__main__":
    sys.exit(main())
