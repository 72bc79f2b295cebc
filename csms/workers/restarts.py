"""When a worker that died is started again, and when that has no more sense. Pure."""

from __future__ import annotations

from dataclasses import dataclass

STEADY_S = 60.0
"""Who lived as long did not die of what makes workers die at once."""
PAUSE_S = 0.25
PAUSE_S_MAX = 15.0
DEATHS_MAX = 6
"""In a row, each within STEADY_S: some 15 s of trying with the pauses between them."""


@dataclass(slots=True)
class Restarts:
    """Of one worker."""

    _deaths: int = 0

    def died(self, *, lived_s: float) -> float | None:
        """How long to wait before it is started again; None: it dies at once again and again."""
        self._deaths = 1 if lived_s >= STEADY_S else self._deaths + 1
        if self._deaths >= DEATHS_MAX:
            return None
        return min(PAUSE_S * 2.0 ** (self._deaths - 1), PAUSE_S_MAX)
