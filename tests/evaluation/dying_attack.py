"""An attack whose second process is killed once, as by an operator or the system."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lightning_modules.attacks import IterativeCodeAttack


class DyingAttack(IterativeCodeAttack):
    def __init__(self, marker: str, num_items: int = 1, iterations: int = 3) -> None:
        super().__init__(num_items=num_items, iterations=iterations)
        self.marker, self._calls = Path(marker), 0

    def forward(self, images, goal, victim):
        self._calls += 1
        if self._calls == 3 and os.environ.get("LOCAL_RANK") == "1" and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images, goal, victim)
