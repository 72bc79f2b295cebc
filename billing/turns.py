"""How much of the event loop work takes that nobody waits for. Knows nothing of what the work is."""

from __future__ import annotations

import asyncio
import time
from typing import Final

KEPT_S_MAX: Final = 0.002
OTHERS_FACTOR: Final = 4
"""Others get so much of the loop for each second of ours, if they want it: a fifth stays ours however busy they are."""
IDLE_S: Final = 0.0002
"""A round of the loop in less: nobody else has much to do in it."""
IDLE_ROUNDS: Final = 5
"""So many in a row: nobody has. What comes from a socket is read in one round, understood in the next, answered later."""


class Turns:
    """Between two pieces of work: lets others use the loop, as long as they need it, once it has been kept for a while."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def give(self) -> None:
        """Costs nothing while little time has passed, and little where others have nothing to do."""
        now = time.monotonic()
        until_s = OTHERS_FACTOR * (now - self._since)
        if until_s < OTHERS_FACTOR * KEPT_S_MAX:
            return
        others_s: float = 0
        idle_rounds = 0
        while others_s < until_s and idle_rounds < IDLE_ROUNDS:
            await asyncio.sleep(0)
            round_s, now = time.monotonic() - now, time.monotonic()
            others_s += round_s
            idle_rounds = idle_rounds + 1 if round_s < IDLE_S else 0
        self._since = now
