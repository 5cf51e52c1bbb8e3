"""What a plan needs on disk before it runs, and the commands that make it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Requirement:
    """A file or folder that is missing.

    Attributes:
        path: where it is expected.
        command: arguments of the Python interpreter that make it, or None where nothing does.
        origin: where it comes from, if nothing makes it.
    """

    path: str
    command: str | None = None
    origin: str = ""

    @property
    def arguments(self) -> list[str]:
        """The command's arguments, one by one."""
        return shlex.split(self.command or "")

    @property
    def line(self) -> str:
        """The command as one types it."""
        return f"python {shlex.join(self.arguments)}"


def missing_requirements(plan: Mapping[str, Any]) -> list[Requirement]:
    """Return what a plan names and is not there, in the order in which it has to be got or made.

    Only what is needed counts: an entry of ``training`` or ``files`` that neither the plan's other options nor the
    command of a missing entry name is passed over. A command must come after those whose results it reads.

    Args:
        plan: the plan's options as plain values, with ``training`` and ``files``.
    """
    options = {key: value for key, value in plan.items() if key not in ("training", "files")}
    needed = set(_texts(options))
    made: list[Requirement] = []
    for path, command in reversed((plan.get("training") or {}).items()):
        if path in needed and not is_finished(path):
            made.insert(0, Requirement(path, command))
            needed.update(text for argument in shlex.split(command) for text in (argument, argument.partition("=")[2]))
    files = (plan.get("files") or {}).items()
    return [Requirement(path, origin=text) for path, text in files if path in needed and not Path(path).exists()] + made


def is_finished(path: str) -> bool:
    """Whether a file or folder is there, and its training did not stop half-way."""
    return Path(path).exists() and not _mark(path).exists()


def describe(missing: Sequence[Requirement]) -> str:
    """Say what is missing, and the command of each that has one."""
    lines = [f"{len(missing)} files or folders of the plan are missing."]
    if bare := [one for one in missing if one.command is None]:
        lines += ["", "To be got:", *(f"  {one.path}: {one.origin}" for one in bare)]
    if made := [one for one in missing if one.command is not None]:
        lines += ["", "To be made, in this order (--train-missing does it):"]
        lines += [line for one in made for line in (f"  {one.path}", f"    {one.line}")]
    return "\n".join(lines)


def run_python(arguments: Sequence[str]) -> None:
    """Run this interpreter in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    status = subprocess.run([sys.executable, *arguments], check=False).returncode  # noqa: S603 (the plan's own command)
    if status:
        raise RuntimeError(f"exit status {status} of: python {shlex.join(arguments)}")


def make(missing: Sequence[Requirement], run: Callable[[Sequence[str]], None] = run_python) -> None:
    """Run the commands of what is missing, in order; after a kill, those that are done are not repeated.

    Args:
        missing: what :func:`missing_requirements` found.
        run: runs one command.

    Raises:
        ValueError: something that no command makes is missing, or a launcher started several processes, each of which
            would run the commands.
        RuntimeError: a command failed, or did not write what it should.
    """
    if any(one.command is None for one in missing):
        raise ValueError(describe(missing))
    if (count := _launched_processes()) > 1:
        raise ValueError(f"--train-missing in each of {count} processes: first train in one, without torchrun or srun")
    for number, one in enumerate(missing, start=1):
        print(f"[{number}/{len(missing)}] {one.path}", flush=True)
        mark = _mark(one.path)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        run(one.arguments)
        if not Path(one.path).exists():
            raise RuntimeError(f"{one.path} is still missing after: {one.line}")
        mark.unlink()


def _mark(path: str) -> Path:
    """Return the file beside a file or folder that says that its training is under way."""
    made = Path(path)
    return made.with_name(made.name + UNFINISHED)


def _launched_processes() -> int:
    """Return how many processes torchrun or srun started together; 1 if none of them did."""
    return max(int(os.environ.get(name) or 1) for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        yield from _texts(node.values())
    elif isinstance(node, Iterable):
        for one in node:
            yield from _texts(one)
