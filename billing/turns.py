"""How much of the event loop work takes that nobody waits for. Knows nothing of what the work is."""

from __future__ import annotations

import asyncio
import time
from typing import Final

KEPT_S_MAX: Final = 0.002
BUSY_MAX: Final = 9 / 10
"""So much of a core others and ours take together: what is left is for what comes in a moment."""
SHARE_MIN: Final = 1 / 20
"""Ours however busy others are."""
WINDOW_S: Final = 0.05
"""Over which is measured how busy they are."""
RESTS_S_MAX: Final = 2.0
"""In all, of one piece of work: the transaction that it is done in holds its locks meanwhile."""


def rest_s(kept_s: float, *, others: float) -> float:
    """How long to rest after `kept_s` of the loop, where others take so much of a core. Pure."""
    share = max(SHARE_MIN, BUSY_MAX - others)
    return kept_s * (1 / share - 1)


class Turns:
    """One for each piece of work, asked between two parts of it: leaves the loop to others, for as long as they need it."""

    def __init__(self) -> None:
        self._rests_left_s = RESTS_S_MAX
        self._begin()

    def _begin(self) -> None:
        self._since = time.monotonic()
        self._since_cpu_s = time.process_time()

    async def give(self) -> None:
        """Costs nothing while little time has passed; the rest is shorter the less others have to do."""
        kept_s = time.monotonic() - self._since
        if kept_s < KEPT_S_MAX:
            return
        others = _process.others(kept_s, time.process_time() - self._since_cpu_s)
        rest = min(rest_s(kept_s, others=others), self._rests_left_s)
        self._rests_left_s -= rest
        await asyncio.sleep(rest)
        self._begin()


class _Process:
    """How busy it is, without the work that takes turns. Of a core that it shares it can take no more than it gets."""

    def __init__(self) -> None:
        self._others: float = 0
        self._begin()

    def _begin(self) -> None:
        self._since = time.monotonic()
        self._since_cpu_s = time.process_time()
        self._ours_s: float = 0
        self._ours_cpu_s: float = 0

    def others(self, ours_s: float, ours_cpu_s: float) -> float:
        """As a share of what it gets, up to one; since the last call ours have had the loop for `ours_s`."""
        self._ours_s += ours_s
        self._ours_cpu_s += ours_cpu_s
        wall_s = time.monotonic() - self._since
        if wall_s >= WINDOW_S:
            others_cpu_s = time.process_time() - self._since_cpu_s - self._ours_cpu_s
            others_s = others_cpu_s * self._ours_s / max(self._ours_cpu_s, self._ours_s / 10)
            self._others = min(1, max(0, others_s / wall_s))
            self._begin()
        return self._others


_process = _Process()
