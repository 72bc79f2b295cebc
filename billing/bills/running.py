"""Interims of running sessions from what the last ones knew: kept in memory, bounded, and thrown away at any doubt."""

from __future__ import annotations

from typing import Final

from billing.rating.engine import rate
from billing.rating.policy import RatingPolicy
from billing.rating.rating import Rating
from billing.rating.running import Running, advance
from billing.rating.terms import Terms
from billing.rating.usage import Usage
from billing.tariffs.tariff import Tariff

PERIODS_MAX: Final = 100_000
"""Periods kept in all, some 50 MB; of more, the sessions that were rated longest ago are forgotten."""


class RunningSessions:
    """Rates as `rate` does, at the cost of what came since the session was rated last.

    What is kept is compared with the session as it is now, so that nothing is ever stale: facts that change what was
    rated, another tariff or other terms begin anew.
    """

    def __init__(self, *, periods_max: int = PERIODS_MAX) -> None:
        self._periods_max = periods_max
        self._periods = 0
        self._kept: dict[int, Running] = {}

    def rate(
        self, session: int, usage: Usage, tariff: Tariff, policy: RatingPolicy, *, final: bool, terms: Terms
    ) -> Rating:
        """What the session costs; raises UsageInvalid where it cannot be rated. A final rating forgets the session."""
        running = self._kept.pop(session, None)
        if running is not None:
            self._periods -= len(running.periods)
        if final:
            return rate(usage, tariff, policy, final=True, terms=terms)
        running = advance(running, usage, tariff, terms)
        self._keep(session, running)
        return rate(usage, tariff, policy, final=False, terms=terms, running=running)

    def _keep(self, session: int, running: Running) -> None:
        self._kept[session] = running
        self._periods += len(running.periods)
        while self._periods > self._periods_max:
            eldest = next(iter(self._kept))
            self._periods -= len(self._kept.pop(eldest).periods)
