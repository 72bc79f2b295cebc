"""The instants at which a site's wall clock passes given times of day. Knows time zones and nothing of prices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_PROBE: Final = timedelta(hours=6)
"""No zone changes its offset twice within six hours."""
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


def wall_cuts(start: datetime, end: datetime, times: frozenset[time], zone: ZoneInfo) -> list[datetime]:
    """Instants strictly between start and end (UTC) at which the clock shows one of `times` or changes its offset.

    A time that the clock shows twice (autumn) is passed twice; one that it skips (spring) is passed at the change.
    Since every moment is judged by what the clock then shows, a cut too many changes nothing.
    """
    if not times:
        return []
    found = {moment for moment in _clock_passes(start, end, times, zone) if start < moment < end}
    found.update(moment for moment in _offset_changes(start, end, zone) if start < moment < end)
    return sorted(found)


def _clock_passes(start: datetime, end: datetime, times: frozenset[time], zone: ZoneInfo) -> Iterator[datetime]:
    day, last_day = start.astimezone(zone).date() - _DAY, end.astimezone(zone).date() + _DAY
    while day <= last_day:
        for moment in times:
            for fold in (0, 1):
                yield datetime.combine(day, moment, zone).replace(fold=fold).astimezone(UTC)
        day += _DAY


def _offset_changes(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    early = start.replace(microsecond=0)
    while early < end:
        late = min(early + _PROBE, end.replace(microsecond=0) + _SECOND)
        if early.astimezone(zone).utcoffset() != late.astimezone(zone).utcoffset():
            yield _first_change(early, late, zone)
        early = late


def _first_change(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The first whole second with the offset of `late`; offsets change on whole seconds."""
    before = early.astimezone(zone).utcoffset()
    low, high = 0, int((late - early) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if (early + middle * _SECOND).astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return early + high * _SECOND
