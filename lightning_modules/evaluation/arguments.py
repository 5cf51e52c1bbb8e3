"""Plans on the command line: ``--config`` files are merged, flags override single values."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import yaml
from jsonargparse import ArgumentParser, Namespace

from lightning_modules.evaluation.compose import compose
from lightning_modules.evaluation.plan import EvaluationPlan


def add_plan(parser: ArgumentParser) -> None:
    """Add ``--config`` and every option of a plan to a parser."""
    parser.add_argument("--config", action="config", help="YAML of a plan; several are merged, and may include others")
    parser.add_class_arguments(EvaluationPlan, None)


def merge_configs(args: Sequence[str]) -> list[str]:
    """Replace all ``--config FILE`` by one whose value is the merged plan."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", action="append", default=[])
    found, rest = finder.parse_known_args(args)
    return ["--config", yaml.safe_dump(compose(found.config), sort_keys=False), *rest] if found.config else rest


def build_plan(parser: ArgumentParser, config: Namespace) -> EvaluationPlan:
    """Build the plan of parsed arguments: data modules, attacks and defences are made, nothing is loaded."""
    instances = parser.instantiate_classes(config)
    return EvaluationPlan(**{name: getattr(instances, name) for name in EvaluationPlan.__dataclass_fields__})
