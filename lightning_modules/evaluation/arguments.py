"""Plans on the command line: ``--config`` files are merged, flags override single values."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import yaml
from jsonargparse import ArgumentParser, Namespace

from lightning_modules.evaluation.compose import compose
from lightning_modules.evaluation.leave_out import leave_out
from lightning_modules.evaluation.plan import EvaluationPlan
from lightning_modules.evaluation.templates import at_scale, expand, select


def add_plan(parser: ArgumentParser) -> None:
    """Add ``--config`` and every option of a plan to a parser."""
    parser.add_argument("--config", action="config", help="YAML of a plan; several are merged, and may include others")
    parser.add_argument("--data-scale", help="apply a scale that the plan offers, e.g. tiny: generated stand-ins")
    parser.add_argument("--select", action="append", default=[], help="keep rows that hold this, e.g. WIKI; repeatable")
    parser.add_class_arguments(EvaluationPlan, None)


def merge_configs(args: Sequence[str]) -> list[str]:
    """Replace all ``--config FILE`` by one whose value is the merged plan, at the scale and with the rows asked for.

    An entry that is set to null, ``--attacks.P2P null``, leaves the plan; see ``leave_out``.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", action="append", default=[])
    finder.add_argument("--data-scale")
    finder.add_argument("--select", action="append", default=[])
    found, rest = finder.parse_known_args(args)
    if not found.config:
        return rest
    plan = expand(select(at_scale(compose(found.config), found.data_scale), found.select))
    plan, rest = leave_out(plan, rest)
    if "datasets" in plan and "hashers" in plan:  # no data is read that no hasher is left of
        used = {hasher.get("dataset") for hasher in plan["hashers"].values()}
        plan["datasets"] = {name: data for name, data in plan["datasets"].items() if name in used}
    return ["--config", yaml.safe_dump(plan, sort_keys=False), *rest]


def build_plan(parser: ArgumentParser, config: Namespace) -> EvaluationPlan:
    """Build the plan of parsed arguments: data modules, attacks and defences are made, nothing is loaded."""
    instances = parser.instantiate_classes(config)
    return EvaluationPlan(**{name: getattr(instances, name) for name in EvaluationPlan.__dataclass_fields__})
