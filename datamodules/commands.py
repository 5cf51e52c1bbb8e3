"""The command line: ``python -m datamodules prepare|inspect|convert``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from datamodules.base import RetrievalDataModule
from datamodules.checks import Finding
from datamodules.inspection import check_pictures, describe, inspect_module, render_text, write_page
from datamodules.inspection.facts import Catalogued, DataFacts
from datamodules.inspection.text import printable, render_finding
from datamodules.source import DataError

PREPARE = "Read a data set, draw its splits, and check both."
INSPECT = "Prepare a data set and show it on one HTML page."
CONVERT = "Copy the pixels of a MATLAB or HDF5 file to an array that is fast to read."
TRANSPOSE = {"true": True, "false": False, "auto": None}


def make_parser() -> ArgumentParser:
    """Return the parser of the command line."""
    parser = ArgumentParser(prog="python -m datamodules", description=__doc__)
    commands = parser.add_subcommands(required=True, dest="command")
    commands.add_subcommand("prepare", _data_parser(PREPARE), help=PREPARE)
    inspecting = _data_parser(INSPECT)
    inspecting.add_argument("--output", type=str, default="inspect.html", help="the page to write")
    commands.add_subcommand("inspect", inspecting, help=INSPECT)
    commands.add_subcommand("convert", _convert_parser(), help=CONVERT)
    return parser


def _data_parser(description: str) -> ArgumentParser:
    parser = ArgumentParser(description=description)
    parser.add_argument("--config", action="config", help="YAML of a data module, as for training; several are merged")
    parser.add_subclass_arguments(RetrievalDataModule, "data", required=True)
    parser.add_argument("--rebuild", action="store_true", help="parse the files again, decode all pictures again")
    parser.add_argument("--check-pictures", action="store_true", help="decode every picture; goes on where it was")
    return parser


def _convert_parser() -> ArgumentParser:
    parser = ArgumentParser(description=CONVERT)
    parser.add_argument("file", type=str, help="MATLAB or HDF5 file with pixels")
    parser.add_argument("--target", type=str, help="array to write; FILE with the suffix .npy if not given")
    parser.add_argument("--scale", type=Literal[255, 1], help="value of white, for floating-point pixels")
    parser.add_argument(
        "--transpose",
        type=Literal["true", "false", "auto"],
        default="auto",
        help="whether the earlier of the two spatial axes is the width; auto asks the pixels",
    )
    return parser


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        the exit status: 1 if a check found an error or the data cannot be used, else 0.
    """
    parser = make_parser()
    config = parser.parse_args(args)
    run = {"prepare": prepare, "inspect": inspect, "convert": convert}[config.command]
    try:
        return run(_instantiated(parser, config)[config.command])
    except DataError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return 1


def prepare(options: Namespace) -> int:
    """Prepare, check and describe a data set."""
    return _prepared(options)[1]


def inspect(options: Namespace) -> int:
    """Do as :func:`prepare`, and write the page."""
    facts, status = _prepared(options)
    write_page(inspect_module(options.data, facts), Path(options.output))
    print(f"\n{options.output}")
    return status


def convert(options: Namespace) -> int:
    """Convert a file of pixels."""
    from datamodules.convert import convert as convert_file  # not before it is needed

    source = Path(options.file)
    target = source.with_suffix(".npy") if options.target is None else Path(options.target)
    scale = None if options.scale is None else float(options.scale)
    convert_file(source, target, scale=scale, transpose=TRANSPOSE[options.transpose])
    print(target)
    return 0


def _prepared(options: Namespace) -> tuple[DataFacts, int]:
    """Return the facts, which are printed, and the exit status."""
    module: RetrievalDataModule = options.data
    found = _set_up(module, options.rebuild)
    if options.check_pictures:
        record = _record_path(module)
        if options.rebuild:
            record.unlink(missing_ok=True)
        found += check_pictures(module.source, record)
    facts = describe(module, found)
    print(render_text(facts))
    return facts, int(any(finding.level == "error" for finding in facts.findings))


def _set_up(module: RetrievalDataModule, rebuild: bool) -> list[Finding]:
    """Return the warnings on the way; they are printed at once if it leads nowhere."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            if rebuild and isinstance(module, Catalogued):
                module.read_catalogue().save(module.catalogue_path)
            module.prepare_data()
            module.setup()
        except DataError:
            for finding in _findings_of(caught):
                print(render_finding(finding), file=sys.stderr)
            raise
    return _findings_of(caught)


def _findings_of(caught: Sequence[warnings.WarningMessage]) -> list[Finding]:
    messages = [str(warning.message).strip() for warning in caught if issubclass(warning.category, UserWarning)]
    return [Finding("warning", message) for message in dict.fromkeys(messages)]


def _record_path(module: RetrievalDataModule) -> Path:
    name = module.catalogue_path.stem if isinstance(module, Catalogued) else module.manifest_path.stem
    return module.cache_dir / "checks" / f"{name}.jsonl"


def _instantiated(parser: ArgumentParser, config: Namespace) -> Any:
    """Build the data module; what it says about its options comes wrapped in errors of the parser."""
    # jsonargparse 4.49 renamed it
    build = parser.instantiate if hasattr(parser, "instantiate") else parser.instantiate_classes
    try:
        return build(config)
    except ValueError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, DataError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, DataError):
            raise cause from None
        raise
