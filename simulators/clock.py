"""A model clock: time passes only when somebody advances it, so that a story of hours takes a second and repeats itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class ModelClock:
    """True model time, and what the charge point believes the time to be (true time plus an error)."""

    def __init__(self, start: datetime, *, speed: float | None = None) -> None:
        """``speed``: model seconds per real second; None lets time pass without waiting."""
        if start.tzinfo is None:
            raise ValueError(f"the model clock needs an aware start, not {start.isoformat()}; add Z or an offset")
        if speed is not None and speed <= 0:
            raise ValueError(f"speed {speed} must be above 0 (model seconds per real second)")
        self.now = start.astimezone(UTC)
        self.error = timedelta()
        self.speed = speed

    @property
    def shown(self) -> datetime:
        """What the charge point writes into its messages."""
        return self.now + self.error

    async def advance(self, by: timedelta) -> None:
        """Let model time pass; the only thing in a simulation that does."""
        if by < timedelta():
            raise ValueError(f"time does not run backwards ({by}); set the clock's error instead")
        await asyncio.sleep(by.total_seconds() / self.speed if self.speed else 0)
        self.now += by

    def set_wrong(self, *, by: timedelta | None = None, to: datetime | None = None) -> None:
        """Make the shown time wrong by an offset, or wrong such that it shows ``to`` right now; neither: right again."""
        if to is not None:
            self.error = to - self.now
        else:
            self.error = by or timedelta()


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as most charge points write it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
