"""The alpha schedule: the slope of the tanh during an iterative attack."""

from __future__ import annotations

from typing import Literal

AlphaSchedule = Literal["absolute", "relative", "constant"]

# ProS-GAN repository, dhta.py: (first iteration that no longer has it, alpha) of a budget of 2,000.
STAGES = ((1000, 0.1), (1200, 0.2), (1400, 0.3), (1600, 0.5), (1800, 0.7))
FULL_BUDGET = 2000


def alpha_at(iteration: int, budget: int, kind: AlphaSchedule) -> float:
    """Slope of the tanh at an iteration.

    A small slope keeps gradients alive while bits are far from the anchor's sign; the sign of a code does not
    depend on it.

    Args:
        iteration: 0-based.
        budget: number of iterations.
        kind: ``absolute`` uses the published break points whatever the budget, so that P2P's 500 iterations
            stay at 0.1; ``relative`` puts them at 50, 60, 70, 80 and 90 % of the budget; ``constant`` is 1.

    Raises:
        ValueError: unknown kind.
    """
    match kind:
        case "absolute":
            position = iteration
        case "relative":
            position = iteration * FULL_BUDGET // budget
        case "constant":
            return 1.0
        case _:
            raise ValueError(f"alpha_schedule={kind!r}: expected 'absolute', 'relative' or 'constant'")
    return next((alpha for end, alpha in STAGES if position < end), 1.0)
