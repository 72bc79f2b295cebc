"""When billing looks at running sessions: starts, ends and holds at once, new readings as often as there is time for it."""

from __future__ import annotations

from collections.abc import Collection

READINGS_PER_LOOK = 100
"""With every so many readings the interval is as long again: each look is at all readings of a session."""
REST_FACTOR = 10
"""Looks that can wait rest so many times as long as they take, all together: answers come before figures."""
RESTS_MAX = 10
"""Intervals: after a restart all running sessions are new to us, and others shall not wait for that long."""
LOOKED_AT_MAX = 100_000
"""Sessions remembered as looked at: of one that went on at another node nobody tells us that it has ended."""
_FORGETTING = 0.1
"""Part of what a look is taken to cost that the newest one decides."""


class Looks:
    """Whose turn it is, by the loop's clock. An interval of zero: at every chance, whatever it takes."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._looked_at: dict[int, float] = {}
        self._waiting: dict[int, float] = {}
        self._rest_until = 0.0
        self._cost_s = 0.0

    def took(self, seconds: float, sessions: int) -> None:
        """So long billing needed for its look at so many."""
        if sessions:
            self._cost_s += _FORGETTING * (seconds / sessions - self._cost_s)

    def at_once(self, session: int) -> None:
        """It has begun to matter: it waits for nothing."""
        self._waiting.pop(session, None)
        self._looked_at.pop(session, None)

    def has_turn(self, session: int, *, readings: int, now: float) -> bool:
        """Whether a running session of so many readings is looked at now, as a new one is; else it waits for `due`."""
        looked_at = self._looked_at.get(session)
        if self._interval_s and looked_at is not None:
            self._waiting[session] = looked_at + self._interval_s * max(1, readings / READINGS_PER_LOOK)
            return False
        self._look(session, now)
        return True

    def due(self, *, now: float) -> dict[int, float]:
        """Those that have waited for their turn, as many as there is time for. Say `told` once billing knows."""
        if now < self._rest_until:
            return {}
        turns = sorted((turn_at, session) for session, turn_at in self._waiting.items() if turn_at <= now)
        if self._interval_s and self._cost_s:
            del turns[max(1, int(self._interval_s / (self._cost_s * REST_FACTOR))) :]
        return {session: turn_at for turn_at, session in turns}

    def told(self, turns: dict[int, float], *, now: float) -> None:
        """Billing knows of these; of one that has ended, or had its turn, meanwhile, it knew before."""
        for session, turn_at in turns.items():
            if self._waiting.get(session) == turn_at:
                del self._waiting[session]
                self._look(session, now)

    def all_waiting(self, sessions: Collection[int]) -> list[int]:
        return [session for session in sessions if session in self._waiting]

    def _look(self, session: int, now: float) -> None:
        self._looked_at.pop(session, None)
        if len(self._looked_at) >= LOOKED_AT_MAX:
            del self._looked_at[next(iter(self._looked_at))]  # the one whose look was longest ago counts as new
        self._looked_at[session] = now
        if self._interval_s:
            rest_until = max(self._rest_until, now) + REST_FACTOR * self._cost_s
            self._rest_until = min(rest_until, now + RESTS_MAX * self._interval_s)
