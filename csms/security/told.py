"""How many security events of one charge point are kept: enough for an honest queue, no more for a flood. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from csms.security.event import counted_as, is_critical

KEPT_WITHIN = timedelta(minutes=10)
KEPT_MAX = 120
"""Of one kind and charge point within `KEPT_WITHIN`. Kinds have room each, so that none can crowd out another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A SecurityEventNotification; `key` is its content (RULES.md 2)."""

    charge_point: str
    key: bytes
    type: str
    at: datetime
    tech_info: str | None
    received_at: datetime

    @property
    def critical(self) -> bool:
        return is_critical(self.type)


def divided(events: Sequence[Told], recent: Mapping[tuple[str, str], int]) -> tuple[list[Told], list[Told]]:
    """Those that are kept, and those that are only counted. `recent`: told lately, by charge point and type."""
    room: Counter[tuple[str, str]] = Counter()
    for (charge_point, type_), told in recent.items():
        room[charge_point, counted_as(type_)] += told
    kept: list[Told] = []
    counted: list[Told] = []
    for event in events:
        kind = (event.charge_point, counted_as(event.type))
        room[kind] += 1
        (kept if room[kind] <= KEPT_MAX else counted).append(event)
    return kept, counted
