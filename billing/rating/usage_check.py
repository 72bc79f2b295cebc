"""Whether a usage can be rated at all: order, overlap, finite quantities. Knows no tariff and judges no plausibility."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo

from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.problem import DocumentInvalid, Problem
from billing.time_zones import NoSuchZone, zone_named

PERIODS_MAX: Final = 100_000
SPAN_MAX: Final = timedelta(days=3660)
ENERGY_WH_MAX: Final = Decimal(10) ** 15
_EXPONENT_MIN: Final = -12
_PLAIN_LENGTH: Final = 14
"""So short a number has no more decimals than that, and is not too large."""
_YEARS: Final = range(1971, 9000)
RESERVED: Final = frozenset({PeriodKind.RESERVATION, PeriodKind.RESERVATION_EXPIRED})


class UsageInvalid(DocumentInvalid):
    """This session cannot be rated; `problems` says where and why, all of them."""

    subject = "session"


def zone_of(usage: Usage) -> ZoneInfo | None:
    """The usage's time zone, or None where there is no such zone; raises OSError where that cannot be told now."""
    try:
        return zone_named(usage.time_zone)
    except NoSuchZone:
        return None


def check_usage(usage: Usage, *, sound: int = 0) -> list[Problem]:
    """Every reason why the engine cannot rate this usage; empty where it can.

    Of the first `sound` periods it is known already that there are none.
    """
    if zone_of(usage) is not None and _is_sound(usage.periods, sound):
        return []
    return list(_problems(usage))


def _is_sound(periods: tuple[Period, ...], sound: int) -> bool:
    """A quick look, which may say no where a closer one finds nothing; what is sound needs no closer one."""
    if not periods:
        return True
    first, before = periods[0], periods[sound - 1] if sound else None
    if first.start.tzinfo is None or first.start.year - 1 not in _YEARS or len(periods) > PERIODS_MAX:
        return False
    for period in islice(periods, sound, None):
        if not _is_sound_after(before, period):
            return False
        before = period
    last = periods[-1].end
    return last.year + 1 in _YEARS and last - first.start <= SPAN_MAX


def _is_sound_after(before: Period | None, period: Period) -> bool:
    start, end, energy, power, current = period.start, period.end, period.energy_wh, period.power_w, period.current_a
    if start.tzinfo is None or end.tzinfo is None or end < start:
        return False
    if before is not None and (start < before.end or not _may_follow(before.kind, period.kind)):
        return False
    if energy is not None and (not _usable(energy) or energy < 0 or (energy and period.kind in RESERVED)):
        return False
    return (power is None or _usable(power)) and (current is None or _usable(current))


def _may_follow(before: PeriodKind, kind: PeriodKind) -> bool:
    if kind in RESERVED:
        return before is kind
    return before is not PeriodKind.RESERVATION_EXPIRED


def _problems(usage: Usage) -> Iterator[Problem]:
    if zone_of(usage) is None:
        yield Problem(
            path="$.time_zone",
            message=f"{usage.time_zone!r} is no IANA time zone",
            next_step="write one such as Europe/Berlin",
        )
    if len(usage.periods) > PERIODS_MAX:
        yield Problem(path="$.periods", message=f"more than {PERIODS_MAX} periods", next_step="merge equal periods")
        return
    timed = True
    for index, period in enumerate(usage.periods):
        for problem in _period(f"$.periods[{index}]", period):
            timed = False
            yield problem
    if timed:
        yield from _order(usage.periods)
        yield from _phases(usage.periods)


def _period(path: str, period: Period) -> Iterator[Problem]:
    for name, moment in (("start", period.start), ("end", period.end)):
        if moment.tzinfo is None:
            yield Problem(path=f"{path}.{name}", message="has no time zone", next_step="write UTC")
            return
        if moment.year not in _YEARS:
            yield Problem(path=f"{path}.{name}", message="is not between 1971 and 8999", next_step="correct the clock")
            return
    if period.end < period.start:
        yield Problem(path=f"{path}.end", message="is before start", next_step="swap them or drop the period")
    for name, value in (("energy", period.energy_wh), ("power", period.power_w), ("current", period.current_a)):
        if value is not None and not _usable(value):
            yield Problem(
                path=f"{path}.{name}",
                message=f"{name} is no Decimal, not finite, too large or has more than {-_EXPONENT_MIN} decimals",
                next_step="hold the session and correct the reading",
            )
            return
    if period.energy_wh is not None and period.energy_wh < 0:
        yield Problem(path=f"{path}.energy", message="energy below zero", next_step="hold the session for review")
    if period.energy_wh and period.kind in RESERVED:
        yield Problem(path=f"{path}.energy", message="a reservation has no energy", next_step="make it charging")


def _usable(value: Decimal) -> bool:
    if not isinstance(value, Decimal):
        return False
    text = str(value)
    if len(text) <= _PLAIN_LENGTH and value.is_finite() and "E" not in text:
        return True
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= _EXPONENT_MIN and abs(value) < ENERGY_WH_MAX


def _order(periods: tuple[Period, ...]) -> Iterator[Problem]:
    for index, (earlier, later) in enumerate(pairwise(periods)):
        if later.start < earlier.end:
            yield Problem(
                path=f"$.periods[{index + 1}].start",
                message="is before the end of the period before it",
                next_step="sort the periods and cut the overlap",
            )
    if periods and periods[-1].end - periods[0].start > SPAN_MAX:
        yield Problem(
            path="$.periods", message=f"spans more than {SPAN_MAX.days} days", next_step="hold the session for review"
        )


def _phases(periods: tuple[Period, ...]) -> Iterator[Problem]:
    kinds = [period.kind for period in periods]
    reserved = [kind in RESERVED for kind in kinds]
    if any(later and not earlier for earlier, later in pairwise(reserved)):
        yield Problem(
            path="$.periods", message="a reservation follows the session", next_step="put the reservation first"
        )
    if PeriodKind.RESERVATION_EXPIRED in kinds and len(set(kinds)) > 1:
        yield Problem(
            path="$.periods",
            message="an expired reservation stands beside other periods",
            next_step="rate it by itself: it was never used",
        )
