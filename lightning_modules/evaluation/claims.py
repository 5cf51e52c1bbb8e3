"""Claims: who computes a file of a shared store, so that no two processes compute the same one.

A claim is a file beside the one that is to be made, created by exactly one of those who try. Whoever holds it writes it
anew every few seconds; one that stays the same for longer belongs to a process that is dead, and the next claim, with
a higher number, takes its place. Nobody's clock is compared with another's. Claims save work, and results never
depend on them: a file that is computed twice after all is the same file.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator

from lightning_modules.store_files import StoreFiles

BEAT = 10.0  # seconds between two signs of life
EXPIRY = 60.0  # seconds without one after which a process counts as dead
HOST = f"{socket.gethostname()} {uuid.getnode():x}"
PROCESS = uuid.uuid4().hex  # a restarted container may give the same number to another process


class Claims:
    """The claims of this process in a store, and its view of those of others.

    Args:
        files: of the store.
        beat: seconds between two signs of life of a claim.
        expiry: seconds without one after which another process takes over.
    """

    def __init__(self, files: StoreFiles, beat: float = BEAT, expiry: float = EXPIRY) -> None:
        self._files, self._beat, self._expiry = files, beat, expiry
        self._own: set[str] = set()
        self._seen: dict[str, tuple[bytes, float]] = {}

    @contextlib.contextmanager
    def claim(self, path: str) -> Iterator[bool]:
        """Try to claim a file for as long as the context lasts.

        Args:
            path: the file that is to be made, relative to the store.

        Yields:
            whether this process holds the claim; False if another one that is alive does.
        """
        names = self._take(path)
        if not names:
            yield False
            return
        ended = threading.Event()
        sign = threading.Thread(target=self._keep, args=(names[-1], ended), daemon=True)
        sign.start()
        try:
            yield True
        finally:
            ended.set()
            sign.join()
            for name in names:
                self._files.remove(name)
            self._own.discard(names[-1])

    def held(self, folder: str) -> set[str]:
        """Return the files in ``folder`` that other, living processes have claimed, relative to the store."""
        latest: dict[str, int] = {}
        for name in self._files.names(folder):
            path, found, number = name.rpartition(".claim-")
            if found and number.isdigit():
                latest[path] = max(int(number), latest.get(path, 0))
        claims = {f"{folder}/{path}": _name(f"{folder}/{path}", number) for path, number in latest.items()}
        return {path for path, name in claims.items() if name not in self._own and not self._is_dead(name)}

    def _take(self, path: str) -> list[str]:
        """Return the names of a claim that was made and of the dead ones that it replaces, or nothing."""
        names: list[str] = []
        while True:
            name = _name(path, len(names))
            names.append(name)
            if self._files.create(name, self._content(0)):
                self._own.add(name)
                return names
            if not self._is_dead(name):
                return []

    def _keep(self, name: str, ended: threading.Event) -> None:
        beats = 0
        while not ended.wait(self._beat):
            beats += 1
            with contextlib.suppress(OSError):  # a store out of reach: at worst another process takes over
                self._files.write(name, self._content(beats))

    def _is_dead(self, name: str) -> bool:
        """Tell whether nobody stands behind a claim any more; one that is just being released has somebody."""
        try:
            content = self._files.read(name)
        except FileNotFoundError:
            self._seen.pop(name, None)
            return False
        if _holder_is_gone(content):
            return True
        known, since = self._seen.get(name, (None, 0.0))
        if content != known:
            self._seen[name] = content, time.monotonic()
            return False
        return time.monotonic() - since > self._expiry

    @staticmethod
    def _content(beats: int) -> bytes:
        return json.dumps({"host": HOST, "pid": os.getpid(), "process": PROCESS, "beats": beats}).encode()


def _name(path: str, number: int) -> str:
    return f"{path}.claim-{number}"


def _holder_is_gone(content: bytes) -> bool:
    """Tell whether a claim was made on this machine by a process that is no more."""
    try:
        claim = json.loads(content)
    except ValueError:  # just being written
        return False
    if claim["host"] != HOST or os.name != "posix":
        return False
    if claim["pid"] == os.getpid():
        return bool(claim["process"] != PROCESS)
    try:
        os.kill(claim["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
