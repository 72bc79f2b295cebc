"""Whether a usage can be rated at all: order, overlap, finite quantities. Knows no tariff and judges no plausibility."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from billing.rating.usage import Period, PeriodKind, Usage
from billing.tariffs.problem import DocumentInvalid, Problem

PERIODS_MAX: Final = 100_000
SPAN_MAX: Final = timedelta(days=3660)
ENERGY_WH_MAX: Final = Decimal(10) ** 15
_EXPONENT_MIN: Final = -12
_YEARS: Final = range(1971, 9000)
RESERVED: Final = frozenset({PeriodKind.RESERVATION, PeriodKind.RESERVATION_EXPIRED})


class UsageInvalid(DocumentInvalid):
    """This session cannot be rated; `problems` says where and why, all of them."""

    subject = "session"


def zone_of(usage: Usage) -> ZoneInfo | None:
    """The usage's time zone, or None where there is no such zone."""
    try:
        return ZoneInfo(usage.time_zone)
    except (KeyError, ValueError, OSError):
        return None


def check_usage(usage: Usage) -> list[Problem]:
    """Every reason why the engine cannot rate this usage; empty where it can."""
    return list(_problems(usage))


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
                message=f"{name} is not finite, too large or has more than {-_EXPONENT_MIN} decimals",
                next_step="hold the session and correct the reading",
            )
            return
    if period.energy_wh is not None and period.energy_wh < 0:
        yield Problem(path=f"{path}.energy", message="energy below zero", next_step="hold the session for review")
    if period.energy_wh and period.kind in RESERVED:
        yield Problem(path=f"{path}.energy", message="a reservation has no energy", next_step="make it charging")


def _usable(value: Decimal) -> bool:
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
