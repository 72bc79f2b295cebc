"""Answers to those who guess credentials, held back for a while; nobody else ever waits here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import SystemRandom

SLOWED_MIN_S = 1.0
SLOWED_MAX_S = 2.0
WAITING_MAX = 256

_random = SystemRandom()


def delay_s() -> float:
    """Of varying length, so that no two answers of a guesser come together."""
    return _random.uniform(SLOWED_MIN_S, SLOWED_MAX_S)


@dataclass(slots=True, kw_only=True)
class Slowing:
    """At most `waiting_max` answers wait at once: beyond, they go out at once, as each that waits holds a socket of ours."""

    waiting_max: int = WAITING_MAX
    delay: Callable[[], float] = delay_s
    waiting: int = field(default=0, init=False)

    async def wait(self) -> bool:
        """Hold one answer back; whether there was room for it."""
        if self.waiting >= self.waiting_max:
            return False
        self.waiting += 1
        try:
            await asyncio.sleep(self.delay())
        finally:
            self.waiting -= 1
        return True
