"""Start the search page: ``python -m app --config configs/evaluation/demo.yaml``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import torch
from jsonargparse import ArgumentParser
from lightning import Trainer

from app.desk import SearchDesk
from lightning_modules.evaluation.arguments import add_plan, build_plan, merge_configs
from lightning_modules.evaluation.runner import Evaluation


def make_parser() -> ArgumentParser:
    """Return the parser of the command line."""
    parser = ArgumentParser(prog="python -m app", description=__doc__)
    parser.add_argument(
        "--host", type=str, default="127.0.0.1", help="address to serve; 0.0.0.0 for all of the network"
    )
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--device", type=str, default=None, help="e.g. cpu; default: a GPU if there is one")
    add_plan(parser)
    return parser


def open_desk(args: Sequence[str]) -> tuple[SearchDesk, Any]:
    """Build the desk of a command line; databases that the plan's store has are not hashed again.

    Returns:
        the desk, and the parsed arguments.
    """
    parser = make_parser()
    config = parser.parse_args(merge_configs(args))
    device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    evaluation = Evaluation(build_plan(parser, config), lambda cell: _trainer(device))
    evaluation.prepare()
    return SearchDesk(evaluation, device), config


def _trainer(device: torch.device) -> Trainer:
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=1,
        logger=False,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )


def main(args: Sequence[str] | None = None) -> int:
    """Serve the page until it is interrupted."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    try:
        from app.page import THEME, build_page
    except ModuleNotFoundError as error:
        raise SystemExit(f"the search page needs the extra app, pip install 'retpur[app]': {error}") from error
    desk, config = open_desk(sys.argv[1:] if args is None else args)
    build_page(desk).launch(server_name=config.host, server_port=config.port, theme=THEME, footer_links=[])
    return 0


if __name__ == "__main__":
    sys.exit(main())
