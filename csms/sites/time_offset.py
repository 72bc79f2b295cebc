"""How far a time zone is from UTC, and when that changes next. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from billing import zone_named

_STEP = timedelta(hours=12)
_AHEAD = timedelta(days=370)
"""Whoever changes the clock does so every year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOffset:
    """`now` from UTC; from `changes_at` on `then`. None: no change is known."""

    now: timedelta
    changes_at: datetime | None = None
    then: timedelta | None = None


def time_offset(time_zone: str, at: datetime) -> TimeOffset:
    """Of an IANA zone at an instant, to the minute: clocks change on whole ones."""
    return _time_offset(time_zone, at.replace(second=0, microsecond=0))


@lru_cache(maxsize=256)
def _time_offset(time_zone: str, at: datetime) -> TimeOffset:
    zone = zone_named(time_zone)
    now, early = _offset(at, zone), at.astimezone(UTC).replace(microsecond=0)
    end = early + _AHEAD
    while early < end and _offset(early + _STEP, zone) == now:
        early += _STEP
    if early >= end:
        return TimeOffset(now=now)
    changes_at = _first(early, early + _STEP, zone)
    return TimeOffset(now=now, changes_at=changes_at, then=_offset(changes_at, zone))


def _first(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The first whole second with another offset than `early`; `late` has one."""
    before, low, high = _offset(early, zone), 0, int((late - early).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(early + timedelta(seconds=middle), zone) == before:
            low = middle
        else:
            high = middle
    return early + timedelta(seconds=high)


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
