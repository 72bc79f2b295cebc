"""How often one charge point comes back: two charge points with one identity, or one in a loop. Alarms, never bans. Pure.

A ban would itself be a denial of service; Wallbox and Starcharge models reconnect in loops and must still charge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

REPLACED_MAX = 3
REPLACED_WITHIN_S = 600.0
OPENED_MAX = 60
OPENED_WITHIN_S = 3600.0


class Alarm(Enum):
    REPLACED_OFTEN = "replaced_often"
    RECONNECTS_OFTEN = "reconnects_often"


@dataclass(slots=True)
class _Count:
    """Times within a window, alarmed at most once per window."""

    max: int
    within_s: float
    times: list[float] = field(default_factory=list)
    quiet_until: float = float("-inf")

    def add(self, now: float) -> bool:
        self.times = [*(time for time in self.times if now - time < self.within_s), now][-self.max - 1 :]
        if len(self.times) <= self.max or now < self.quiet_until:
            return False
        self.quiet_until = now + self.within_s
        return True


@dataclass(slots=True)
class Reconnects:
    """Per charge point id; `now` is monotonic seconds."""

    _opened: dict[str, _Count] = field(default_factory=dict)
    _replaced: dict[str, _Count] = field(default_factory=dict)

    def opened(self, charge_point: str, *, replaced: bool, now: float) -> list[Alarm]:
        """A socket was opened, `replaced` if another one of the same charge point was live."""
        alarms = []
        if self._opened.setdefault(charge_point, _Count(OPENED_MAX, OPENED_WITHIN_S)).add(now):
            alarms.append(Alarm.RECONNECTS_OFTEN)
        if replaced and self._replaced.setdefault(charge_point, _Count(REPLACED_MAX, REPLACED_WITHIN_S)).add(now):
            alarms.append(Alarm.REPLACED_OFTEN)
        return alarms
